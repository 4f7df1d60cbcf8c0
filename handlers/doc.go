// Package handlers decides what becomes of a chat message. Its four handlers,
// in the order in which the pipeline chains them:
//
//	validate   the bytes are a message, and every field keeps its rules
//	authorize  the sender may send it to that chat (PEP; the PDP is policy.cedar)
//	persist    it is stored, at the next position of its chat, exactly once
//	republish  the outcome becomes an event for the users
//
// A handler gets a whole Batch, because that is what one transaction carries,
// and settles each Item on its own: Reject answers the sender, Fail sends the
// delivery to the poison queue, and leaving the item alone passes it on to the
// next handler. A simple handler needs to know nothing of batches: see Each.
//
// What a handler may do: read and write through the batch's transaction, and
// settle items. What it may not do: acknowledge, retry, publish, begin or commit
// a transaction, keep an Item after it returned. An error that it returns is
// about the batch, never about one message: the whole batch is rolled back and
// tried again, or taken apart if the database says that a value is to blame.
package handlers
