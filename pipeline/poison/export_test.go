package poison

// For tests that need no broker.
var (
	EncodeHeaders = encodeHeaders
	DecodeHeaders = decodeHeaders
	EntryOf       = entryOf
	ReplayOf      = replayOf
)
