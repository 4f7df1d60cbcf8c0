package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"chat-messaging/cmd/bench/contender"
	"chat-messaging/pipeline"
)

// settings are what the command line gives. They stand in the JSON report, for
// who wants to repeat a run.
type settings struct {
	Only            names                   `json:"only"`
	Contenders      names                   `json:"contenders"`
	Queues          names                   `json:"queues"`
	Rounds          int                     `json:"rounds"`
	NarrowRounds    int                     `json:"narrow_rounds"`
	Messages        int                     `json:"messages"`
	VariantMessages int                     `json:"variant_messages"`
	StockMessages   int                     `json:"stock_messages"`
	WarmUp          int                     `json:"warm_up"`
	Chats           int                     `json:"chats"`
	BodyBytes       int                     `json:"body_bytes"`
	Bodies          counts                  `json:"bodies"`
	Rates           counts                  `json:"rates"`
	Steady          time.Duration           `json:"steady_ns"`
	SteadyWarmUp    time.Duration           `json:"steady_warm_up_ns"`
	Stored          int                     `json:"stored"`
	Waiting         int                     `json:"waiting"`
	Seed            uint64                  `json:"seed"`
	Settle          time.Duration           `json:"settle_ns"`
	Timeout         time.Duration           `json:"timeout_ns"`
	Relay           contender.RelaySettings `json:"relay"`
	Stock           contender.StockSettings `json:"stock"`
	Service         string                  `json:"service"`
	Environment     pairs                   `json:"environment"`
	Postgres        pairs                   `json:"postgres"`
	RabbitMQ        pairs                   `json:"rabbitmq"`
	Dir             string                  `json:"dir"`
	Bars            limits                  `json:"bars"`
	JSON            string                  `json:"-"`
	SVG             string                  `json:"-"`
	Check           bool                    `json:"-"`
	Quick           bool                    `json:"quick"`
}

const intro = `Measure the service beside a bare relay (A) and a pipeline of stock parts (B), on
private servers, and print a table. What is measured, as -only names it:

  drain      A, B and C empty a full queue
  chats      C over many chats, ten, and one
  outcomes   C over messages that are rejected, repeated and poisoned
  stored     C with an empty table and with a large one
  bodies     A and C over texts of several lengths
  latency    A and C under messages at a steady rate
  memory     C at rest, with a full window, and with a long queue

  go run ./cmd/bench [flags]

`

func parseSettings(args []string, stderr io.Writer) (settings, error) {
	s := settings{
		Only: contestNames(), Contenders: names{nameRelay, nameStock, nameOurs},
		Queues: names{pipeline.QueueQuorum, pipeline.QueueClassic},
		Bodies: counts{100, 1 << 10, 16 << 10}, Rates: counts{200, 1_000, 5_000},
		Environment: pairs{}, Postgres: pairs{}, RabbitMQ: pairs{}, Bars: limits{},
	}
	set := flag.NewFlagSet("bench", flag.ContinueOnError)
	set.SetOutput(stderr)
	set.Usage = func() {
		_, _ = io.WriteString(stderr, intro)
		set.PrintDefaults()
	}
	s.declareChoice(set)
	s.declareWorkload(set)
	s.declareContenders(set)
	s.declareOutcome(set)
	if err := set.Parse(args); err != nil {
		return s, err //nolint:wrapcheck // the package has told the user already
	}
	if set.NArg() > 0 {
		return s, fmt.Errorf("unexpected argument %q", set.Arg(0))
	}
	if s.Quick {
		if err := hurry(set); err != nil {
			return s, err
		}
	}
	return s, s.validate()
}

// hurry gives the flags that were not given smaller values.
func hurry(set *flag.FlagSet) error {
	given := map[string]bool{}
	set.Visit(func(f *flag.Flag) { given[f.Name] = true })
	for name, value := range map[string]string{
		"rounds": "1", "narrow-rounds": "1", "messages": "20000", "variant-messages": "10000", "stock-messages": "1000", "warm-up": "1000",
		"steady": "2s", "steady-warm-up": "500ms", "stored": "500000", "waiting": "100000", "settle": "200ms",
	} {
		if given[name] {
			continue
		}
		if err := set.Set(name, value); err != nil {
			return fmt.Errorf("setting -%s for -quick: %w", name, err)
		}
	}
	return nil
}

func (s *settings) declareChoice(set *flag.FlagSet) {
	set.Var(&s.Only, "only", "`what` is measured, separated by commas")
	set.Var(&s.Contenders, "contenders", "which of A, B, C run, as `list`")
	set.Var(&s.Queues, "queues", "`types` of queue, separated by commas; all but drain and latency take the first only")
	set.IntVar(&s.Rounds, "rounds", 3, "how `often` each variant runs")
	set.IntVar(&s.NarrowRounds, "narrow-rounds", 5, "drain and stored, whose ratios lie nearest to their bars: how `often` each variant runs")
	set.BoolVar(&s.Quick, "quick", false, "one round of small workloads: shows that everything works, and orders of magnitude")
}

func (s *settings) declareWorkload(set *flag.FlagSet) {
	set.IntVar(&s.Messages, "messages", 200_000, "drain: `number` of messages in a round of A and C")
	set.IntVar(&s.StockMessages, "stock-messages", 5_000, "drain: `number` of messages in a round of B")
	set.IntVar(&s.VariantMessages, "variant-messages", 50_000, "all others that empty a queue: `number` of messages in a round")
	set.IntVar(&s.WarmUp, "warm-up", 2_000, "`number` of messages in a first round that does not count; 0: none")
	set.IntVar(&s.Chats, "chats", 10_000, "`number` of chats that the messages are spread over")
	set.IntVar(&s.BodyBytes, "body", 50, "`length` of a message's text; its JSON is about 250 bytes longer")
	set.Var(&s.Bodies, "bodies", "bodies: `lengths` of texts, separated by commas")
	set.Var(&s.Rates, "rates", "latency: messages a second, as `list`")
	set.DurationVar(&s.Steady, "steady", 5*time.Second, "latency: how `long` the rate is held and measured")
	set.DurationVar(&s.SteadyWarmUp, "steady-warm-up", time.Second, "latency: how `long` it is held before that")
	set.IntVar(&s.Stored, "stored", 5_000_000, "stored: `number` of messages in the large table")
	set.IntVar(&s.Waiting, "waiting", 1_000_000, "memory: `number` of messages in the long queue")
	set.Uint64Var(&s.Seed, "seed", 1, "`seed` of the messages")
	set.DurationVar(&s.Settle, "settle", 500*time.Millisecond, "`pause` between filling the queue and starting a contender")
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
	set.StringVar(&s.SVG, "svg", "", "`file` to write a chart to, as SVG")
	set.BoolVar(&s.Check, "check", false, "exit 1 if a bar is missed, and name it")
	set.Var(s.Bars, "bar", "where a bar lies, as `name=value`, names as in the table; 0: nowhere; may be repeated")
}

func (s *settings) validate() error {
	var faults []error
	for _, f := range []struct {
		flag         string
		value, least int
	}{
		{"rounds", s.Rounds, 1},
		{"narrow-rounds", s.NarrowRounds, 1},
		{"messages", s.Messages, 1},
		{"stock-messages", s.StockMessages, 1},
		{"variant-messages", s.VariantMessages, 1},
		{"warm-up", s.WarmUp, 0},
		{"chats", s.Chats, 1},
		{"body", s.BodyBytes, 1},
		{"stored", s.Stored, 1},
		{"relay-prefetch", s.Relay.Prefetch, 1},
		{"stock-subscribers", s.Stock.Subscribers, 1},
		{"stock-prefetch", s.Stock.Prefetch, 1},
		{"stock-channels", s.Stock.Channels, 1},
	} {
		if f.value < f.least {
			faults = append(faults, fmt.Errorf("-%s is %d and must be at least %d", f.flag, f.value, f.least))
		}
	}
	if s.Stock.Poll <= 0 {
		faults = append(faults, errors.New("-stock-poll must be above 0"))
	}
	if s.Steady < time.Second || s.SteadyWarmUp < 0 {
		faults = append(faults, errors.New("-steady must be at least 1s and -steady-warm-up at least 0s"))
	}
	if s.Waiting <= s.VariantMessages {
		faults = append(faults, errors.New("-waiting must be more than -variant-messages, to compare the two"))
	}
	faults = append(faults,
		s.Only.among("only", contestNames()...),
		s.Queues.among("queues", pipeline.QueueQuorum, pipeline.QueueClassic),
		s.Contenders.among("contenders", nameRelay, nameStock, nameOurs),
		s.validateBars())
	return errors.Join(faults...)
}

func (s *settings) validateBars() error {
	known := map[string]bool{}
	all := *s
	all.Queues = names{pipeline.QueueQuorum, pipeline.QueueClassic}
	for _, c := range all.contests("", "") {
		for _, comparison := range c.comparisons {
			known[comparison.Name] = true
		}
	}
	for name := range s.Bars {
		if !known[name] {
			return fmt.Errorf("-bar has %q and may have %s", name, strings.Join(slices.Sorted(maps.Keys(known)), ", "))
		}
	}
	return nil
}
