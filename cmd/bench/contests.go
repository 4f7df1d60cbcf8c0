package main

import (
	"fmt"
	"slices"

	"chat-messaging/cmd/bench/arena"
	"chat-messaging/cmd/bench/report"
	"chat-messaging/pipeline"
)

// contest is what is measured in turn, round by round, because it is compared.
type contest struct {
	name string
	// large says that it needs the table that holds messages already, and memory
	// to go with it.
	large bool
	// rounds, if not as many as the others.
	rounds      int
	variants    []variant
	comparisons []report.Comparison
}

// variant is one line of the table: a contender and what it has to do.
type variant struct {
	report.Line

	entrant  entrant
	workload arena.Workload // without its seed
	ground   arena.GroundConfig
	// further are settings of the service that are part of the variant.
	further pairs
	measure measurement
}

// contestNames are what -only may have.
func contestNames() []string {
	return []string{"drain", "chats", "outcomes", "stored", "bodies", "latency", "memory"}
}

// contests is the one list of all that can be measured. Where a contest runs on
// one type of queue only, it is the first of -queues.
func (s settings) contests(dir, service string) []contest {
	p := plan{settings: s}
	p.relay, p.stock, p.ours = s.entrants(dir, service)
	var all []contest
	for _, queue := range s.Queues {
		all = append(all, p.drain(queue))
	}
	first := s.Queues[0]
	all = append(all, p.chats(first), p.outcomes(first), p.stored(first), p.bodies(first))
	for _, queue := range s.Queues {
		all = append(all, p.latency(queue))
	}
	return append(all, p.memory(first))
}

// chosen are the contests that -only and -contenders leave over, with the bars
// that -bar has moved.
func (s settings) chosen(all []contest) []contest {
	var left []contest
	for _, c := range all {
		c.variants = slices.DeleteFunc(slices.Clone(c.variants), func(v variant) bool {
			return !slices.Contains(s.Contenders, v.entrant.name)
		})
		if !slices.Contains(s.Only, c.name) || len(c.variants) == 0 {
			continue
		}
		c.comparisons = slices.Clone(c.comparisons)
		for i := range c.comparisons {
			if limit, moved := s.Bars[c.comparisons[i].Name]; moved {
				c.comparisons[i].Limit = limit
			}
		}
		left = append(left, c)
	}
	return left
}

// plan makes contests.
type plan struct {
	settings           settings
	relay, stock, ours entrant
}

// clean are messages that are all accepted.
func (p plan) clean(count int) arena.Workload {
	return arena.Workload{Count: count, Chats: p.settings.Chats, BodyBytes: p.settings.BodyBytes}
}

// draining is a variant that empties a full queue.
func draining(line report.Line, e entrant, w arena.Workload) variant {
	return variant{
		Line: line, entrant: e, workload: w, measure: (*lap).drain,
		ground: arena.GroundConfig{QueueType: line.Queue, InputArguments: e.inputArguments, Fill: true},
	}
}

// faster holds the rate of a line against that of another one; with a limit of 0
// it only shows the ratio.
func faster(name string, of, to report.Line, limit float64) report.Comparison {
	return report.Comparison{Name: name, Metric: report.Rate, Of: of, To: &to, Limit: limit}
}

// atMost is about a figure that had better be small.
func atMost(name string, metric report.Metric, of, to report.Line, limit float64) report.Comparison {
	return report.Comparison{Name: name, Metric: metric, Of: of, To: &to, Limit: limit, AtMost: true}
}

// bounded holds a figure itself against a limit.
func bounded(name string, metric report.Metric, of report.Line, limit float64) report.Comparison {
	return report.Comparison{Name: name, Metric: metric, Of: of, Limit: limit, AtMost: true}
}

// drain is the three contenders over the same full queue.
func (p plan) drain(queue string) contest {
	line := func(e entrant) report.Line { return report.Line{Workload: "drain", Queue: queue, Variant: e.title} }
	toRelay, toStock, processor := 0.70, 20.0, 20.0
	if queue == pipeline.QueueClassic {
		toRelay, toStock, processor = 0.95, 12, 0
	}
	return contest{
		name: "drain", rounds: p.settings.NarrowRounds,
		variants: []variant{
			draining(line(p.relay), p.relay, p.clean(p.settings.Messages)),
			draining(line(p.stock), p.stock, p.clean(p.settings.StockMessages)),
			draining(line(p.ours), p.ours, p.clean(p.settings.Messages)),
		},
		comparisons: []report.Comparison{
			faster("relay-"+queue, line(p.ours), line(p.relay), toRelay),
			faster("stock-"+queue, line(p.ours), line(p.stock), toStock),
			bounded("cpu-"+queue, report.CPUTime, line(p.ours), processor),
		},
	}
}

// chats is the service over many chats, few and one.
func (p plan) chats(queue string) contest {
	c := contest{name: "chats"}
	for _, chats := range []int{p.settings.Chats, 10, 1} {
		w := p.clean(p.settings.VariantMessages)
		w.Chats = min(chats, p.settings.Chats)
		variant := fmt.Sprintf("C %s chats", thousands(chats))
		if chats == 1 {
			variant = "C one chat"
		}
		line := report.Line{Workload: c.name, Queue: queue, Variant: variant}
		c.variants = append(c.variants, draining(line, p.ours, w))
	}
	many := c.variants[0].Line
	c.comparisons = []report.Comparison{
		faster("ten-chats", c.variants[1].Line, many, 0),
		faster("hot-chat", c.variants[2].Line, many, 0.9),
	}
	return c
}

// outcomes is the service over messages that are not all accepted.
func (p plan) outcomes(queue string) contest {
	c := contest{name: "outcomes"}
	for _, mix := range []struct {
		variant, bar string
		change       func(*arena.Workload)
	}{
		{"C clean", "", func(*arena.Workload) {}},
		{"C 5 % rejected", "rejected", func(w *arena.Workload) { w.Rejected = .05 }},
		{"C 5 % repeated", "repeated", func(w *arena.Workload) { w.Repeated = .05 }},
		{"C 1 % poisoned", "poisoned", func(w *arena.Workload) { w.Poisoned = .01 }},
		{"C all three", "mixed", func(w *arena.Workload) { w.Rejected, w.Repeated, w.Poisoned = .05, .05, .01 }},
	} {
		w := p.clean(p.settings.VariantMessages)
		mix.change(&w)
		line := report.Line{Workload: c.name, Queue: queue, Variant: mix.variant}
		c.variants = append(c.variants, draining(line, p.ours, w))
		if mix.bar != "" {
			c.comparisons = append(c.comparisons, faster(mix.bar, line, c.variants[0].Line, 0.8))
		}
	}
	return c
}

// stored is the service with an empty table and with a large one.
func (p plan) stored(queue string) contest {
	line := func(variant string) report.Line {
		return report.Line{Workload: "stored", Queue: queue, Variant: variant}
	}
	empty := draining(line("C none"), p.ours, p.clean(p.settings.VariantMessages))
	large := draining(line("C "+thousands(p.settings.Stored)), p.ours, p.clean(p.settings.VariantMessages))
	large.ground.Stored = true
	return contest{
		name: "stored", large: true, rounds: p.settings.NarrowRounds,
		variants:    []variant{empty, large},
		comparisons: []report.Comparison{faster("stored", large.Line, empty.Line, 0.8)},
	}
}

// bodies is the relay and the service over texts of several lengths.
func (p plan) bodies(queue string) contest {
	// Of long texts fewer, so that the broker has no more to keep.
	const mostBytes, aroundBody = 160 << 20, 250
	c := contest{name: "bodies"}
	for _, length := range p.settings.Bodies {
		w := p.clean(min(p.settings.VariantMessages, mostBytes/(length+aroundBody)))
		w.BodyBytes = length
		line := func(e entrant) report.Line {
			return report.Line{Workload: c.name, Queue: queue, Variant: e.name + " " + size(length)}
		}
		c.variants = append(c.variants, draining(line(p.relay), p.relay, w), draining(line(p.ours), p.ours, w))
		c.comparisons = append(c.comparisons,
			faster(fmt.Sprintf("body-%d", length), line(p.ours), line(p.relay), 0))
	}
	return c
}

// latency is the relay and the service under messages that come at a steady rate.
func (p plan) latency(queue string) contest {
	const judged = 1_000
	c := contest{name: "latency"}
	for _, rate := range p.settings.Rates {
		steady := func(e entrant) variant {
			w := p.clean(int(float64(rate) * (p.settings.SteadyWarmUp + p.settings.Steady).Seconds()))
			return variant{
				Line: report.Line{
					Workload: c.name, Queue: queue, Variant: fmt.Sprintf("%s %s/s", e.name, thousands(rate)),
				},
				entrant: e, workload: w,
				ground: arena.GroundConfig{QueueType: queue, InputArguments: e.inputArguments},
				measure: steadily(arena.SteadyConfig{
					Rate: rate, Skip: int(float64(rate) * p.settings.SteadyWarmUp.Seconds()),
				}),
			}
		}
		relay, ours := steady(p.relay), steady(p.ours)
		c.variants = append(c.variants, relay, ours)
		most := 0.0
		if queue == pipeline.QueueClassic && rate == judged {
			most = 3
		}
		c.comparisons = append(c.comparisons,
			atMost(fmt.Sprintf("p99-%s-%d", queue, rate), report.LatencyP99, ours.Line, relay.Line, most))
	}
	return c
}

// window is the PREFETCH that the memory of the service is measured with.
const window = 2_000

// memory is the service at rest, with as many messages in hand as it ever has,
// and with a great many more in the queue.
func (p plan) memory(queue string) contest {
	line := func(variant string) report.Line {
		return report.Line{Workload: "memory", Queue: queue, Variant: variant}
	}
	further := pairs{"PREFETCH": fmt.Sprint(window)}
	resting := variant{
		Line: line("C at rest"), entrant: p.ours, workload: p.clean(0), further: further,
		ground: arena.GroundConfig{QueueType: queue}, measure: (*lap).rest,
	}
	held := variant{
		Line: line("C window held"), entrant: p.ours, workload: p.clean(window), further: further,
		ground: arena.GroundConfig{QueueType: queue}, measure: (*lap).hold,
	}
	working := func(variant string, waiting int) variant {
		v := draining(line(variant), p.ours, p.clean(waiting))
		v.further, v.measure = further, takes(p.settings.VariantMessages)
		return v
	}
	few := working("C window at work", p.settings.VariantMessages)
	many := working("C "+thousands(p.settings.Waiting)+" waiting", p.settings.Waiting)
	return contest{
		name: "memory", rounds: min(2, p.settings.Rounds),
		variants: []variant{resting, held, few, many},
		comparisons: []report.Comparison{
			bounded("memory-held", report.Memory, held.Line, 64),
			bounded("memory", report.Memory, few.Line, 64),
			// The heap is not collected at the same moments twice, hence the room.
			atMost("memory-waiting", report.Memory, many.Line, few.Line, 1.25),
		},
	}
}

func thousands(n int) string { return report.Thousands(float64(n)) }

// size is a length for people: 100 B, 16 KiB.
func size(bytes int) string {
	if bytes >= 1<<10 && bytes%(1<<10) == 0 {
		return fmt.Sprintf("%d KiB", bytes>>10)
	}
	return fmt.Sprintf("%d B", bytes)
}
