package arena

import (
	"context"
	"fmt"
	"strings"
)

// turnJournalExpression has the journal that all quorum queues write to turned over, and waits
// until what was in it is where it belongs. The last two lines are there for the
// waiting: the journal answers when it has handed over what it had, and the one that
// it hands over to when it has written that.
const turnJournalExpression = `
#{names := #{wal := Journal, segment_writer := Writer}} = ra_system:fetch(quorum_queues),
ok = ra_log_wal:force_roll_over(Journal),
{status, _, _, _} = sys:get_status(Journal),
ok = ra_log_segment_writer:await(Writer).`

// turnJournal is checkpoint for the broker. It turns its journal over by itself every
// 512 MB, which then costs it a third more for some hundred thousand messages. That is
// about what the contenders of a round write together, so that it would be the same
// one's turn in each round.
func (a *Arena) turnJournal(ctx context.Context) error {
	if _, err := a.rabbitmq.Ctl(ctx, "eval", strings.TrimSpace(turnJournalExpression)); err != nil {
		return fmt.Errorf("turning the broker's journal over: %w", err)
	}
	return nil
}
