package arena

import (
	"context"
	"fmt"
)

// turnJournalExpression has the journal that all quorum queues write to turned over,
// and waits until the file that it was is gone: that is the last thing to happen, once
// what it had is written where it belongs. After twenty seconds it gives up.
const turnJournalExpression = `#{wal_data_dir := Dir, names := #{wal := Journal}} = ra_system:fetch(quorum_queues),
Old = filelib:wildcard(filename:join(Dir, "*.wal")),
ok = ra_log_wal:force_roll_over(Journal),
Wait = fun Again(0) -> journal_is_still_there;
           Again(N) -> case lists:any(fun filelib:is_regular/1, Old) of
                           false -> ok;
                           true -> timer:sleep(10), Again(N - 1)
                       end
       end,
ok = Wait(2000).`

// turnJournal is checkpoint for the broker. It turns its journal over by itself every
// 512 MB, which then costs it a third more for some hundred thousand messages. That is
// about what the contenders of a round write together, so that it was the same one's
// turn in most rounds.
func (a *Arena) turnJournal(ctx context.Context) error {
	if _, err := a.rabbitmq.Ctl(ctx, "eval", turnJournalExpression); err != nil {
		return fmt.Errorf("turning the broker's journal over: %w", err)
	}
	return nil
}
