package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"chat-messaging/cmd/bench/contender"
	"chat-messaging/pipeline"
)

// settings are what the command line gives. They stand in the JSON report, for
// who wants to repeat a run.
type settings struct {
	Messages      int                     `json:"messages"`
	StockMessages int                     `json:"stock_messages"`
	WarmUp        int                     `json:"warm_up"`
	Chats         int                     `json:"chats"`
	BodyBytes     int                     `json:"body_bytes"`
	Seed          uint64                  `json:"seed"`
	Rounds        int                     `json:"rounds"`
	Queues        names                   `json:"queues"`
	Contenders    names                   `json:"contenders"`
	Settle        time.Duration           `json:"settle_ns"`
	Timeout       time.Duration           `json:"timeout_ns"`
	Relay         contender.RelaySettings `json:"relay"`
	Stock         contender.StockSettings `json:"stock"`
	Service       string                  `json:"service"`
	Environment   pairs                   `json:"environment"`
	Postgres      pairs                   `json:"postgres"`
	RabbitMQ      pairs                   `json:"rabbitmq"`
	Dir           string                  `json:"dir"`
	Floors        floors                  `json:"floors"`
	JSON          string                  `json:"-"`
	Check         bool                    `json:"-"`
}

// floors are the least ratios of msg/s.
type floors struct {
	Quorum  float64 `json:"quorum"`
	Classic float64 `json:"classic"`
	Stock   float64 `json:"stock"`
}

const intro = `Measure the service beside a bare relay (A) and a pipeline of stock parts (B), on
private servers, and print a table.

  go run ./cmd/bench [flags]

`

func parseSettings(args []string, stderr io.Writer) (settings, error) {
	s := settings{
		Queues:      names{pipeline.QueueQuorum, pipeline.QueueClassic},
		Contenders:  names{nameRelay, nameStock, nameOurs},
		Environment: pairs{}, Postgres: pairs{}, RabbitMQ: pairs{},
	}
	set := flag.NewFlagSet("bench", flag.ContinueOnError)
	set.SetOutput(stderr)
	set.Usage = func() {
		_, _ = io.WriteString(stderr, intro)
		set.PrintDefaults()
	}
	s.declareWorkload(set)
	s.declareContenders(set)
	s.declareOutcome(set)
	if err := set.Parse(args); err != nil {
		return s, err //nolint:wrapcheck // the package has told the user already
	}
	if set.NArg() > 0 {
		return s, fmt.Errorf("unexpected argument %q", set.Arg(0))
	}
	return s, s.validate()
}

func (s *settings) declareWorkload(set *flag.FlagSet) {
	set.IntVar(&s.Messages, "messages", 100_000, "`number` of messages in a round of A and C")
	set.IntVar(&s.StockMessages, "stock-messages", 5_000, "`number` of messages in a round of B")
	set.IntVar(&s.WarmUp, "warm-up", 2_000, "`number` of messages in a first round that does not count; 0: none")
	set.IntVar(&s.Chats, "chats", 10_000, "`number` of chats that the messages are spread over")
	set.IntVar(&s.BodyBytes, "body", 50, "`length` of a message's text; its JSON is about 250 bytes longer")
	set.Uint64Var(&s.Seed, "seed", 1, "`seed` of the messages")
	set.IntVar(&s.Rounds, "rounds", 3, "how `often` each contender runs on each type of queue")
	set.Var(&s.Queues, "queues", "`types` of queue, separated by commas")
	set.Var(&s.Contenders, "contenders", "which of A, B, C run, as `list`")
	set.DurationVar(&s.Settle, "settle", time.Second, "`pause` between filling the queue and starting a contender")
	set.DurationVar(&s.Timeout, "timeout", 5*time.Minute, "longest `time` of a round")
}

func (s *settings) declareContenders(set *flag.FlagSet) {
	set.IntVar(&s.Relay.Prefetch, "relay-prefetch", 1_000, "A: `number` of messages under way")
	set.IntVar(&s.Stock.Subscribers, "stock-subscribers", 8, "B: `number` of subscribers side by side")
	set.IntVar(&s.Stock.Prefetch, "stock-prefetch", 20, "B: `number` of messages at hand, for each subscriber")
	set.DurationVar(&s.Stock.Poll, "stock-poll", 10*time.Millisecond, "B: `pause` of the forwarder when it has found no events")
	set.IntVar(&s.Stock.Channels, "stock-channels", 10, "B: `number` of channels in the publisher's pool")
	set.StringVar(&s.Service, "service", "", "C: `path` of the service's binary; empty: build it")
	set.Var(s.Environment, "env", "C: a further setting of the service, as `NAME=VALUE`; may be repeated")
	set.Var(s.Postgres, "postgres", "a setting of Postgres, as `name=value`; may be repeated")
	set.Var(s.RabbitMQ, "rabbitmq", "a line of rabbitmq.conf, as `name=value`; may be repeated")
	set.StringVar(&s.Dir, "dir", "", "existing `folder` for the servers' data, which decides on the disk; empty: the one for temporary files")
}

func (s *settings) declareOutcome(set *flag.FlagSet) {
	set.StringVar(&s.JSON, "json", "", "`file` to write the report to as JSON")
	set.BoolVar(&s.Check, "check", false, "exit 1 if a ratio is below its floor")
	set.Float64Var(&s.Floors.Quorum, "floor-quorum", 0.5, "least `ratio` of C to A on quorum queues")
	set.Float64Var(&s.Floors.Classic, "floor-classic", 0.75, "least `ratio` of C to A on classic queues")
	set.Float64Var(&s.Floors.Stock, "floor-stock", 10, "least `ratio` of C to B")
}

func (s *settings) validate() error {
	var faults []error
	atLeast := func(flag string, value, least int) {
		if value < least {
			faults = append(faults, fmt.Errorf("-%s is %d and must be at least %d", flag, value, least))
		}
	}
	atLeast("messages", s.Messages, 1)
	atLeast("stock-messages", s.StockMessages, 1)
	atLeast("warm-up", s.WarmUp, 0)
	atLeast("chats", s.Chats, 1)
	atLeast("body", s.BodyBytes, 1)
	atLeast("rounds", s.Rounds, 1)
	atLeast("relay-prefetch", s.Relay.Prefetch, 1)
	atLeast("stock-subscribers", s.Stock.Subscribers, 1)
	atLeast("stock-prefetch", s.Stock.Prefetch, 1)
	atLeast("stock-channels", s.Stock.Channels, 1)
	if s.Stock.Poll <= 0 {
		faults = append(faults, errors.New("-stock-poll must be above 0"))
	}
	faults = append(faults,
		s.Queues.among("queues", pipeline.QueueQuorum, pipeline.QueueClassic),
		s.Contenders.among("contenders", nameRelay, nameStock, nameOurs))
	if s.Check && len(s.Contenders) < 3 {
		faults = append(faults, errors.New("-check needs all of the contenders"))
	}
	return errors.Join(faults...)
}
