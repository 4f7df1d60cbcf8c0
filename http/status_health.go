package http

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// The consumer's states that matter here, as instances report them.
const (
	consumerConsuming = "consuming"
	consumerPaused    = "paused"
)

// outboxAlarm is how old an event may get in the outbox. It is there for
// milliseconds while dispatch works.
const outboxAlarm = 30 * time.Second

// judge says whether the service does its work. A pause is no fault, because
// somebody wanted it, nor is an instance that has died if the others do its work.
func (s *Status) judge(database, broker error) {
	if database != nil {
		s.reason("the database: %v", database)
	}
	if broker != nil {
		s.reason("the broker: %v", broker)
	}
	if database == nil {
		s.judgeInstances()
		s.judgeOutbox()
	}
	s.Healthy = len(s.Reasons) == 0
}

func (s *Status) reason(format string, args ...any) {
	s.Reasons = append(s.Reasons, fmt.Sprintf(format, args...))
}

func (s *Status) note(format string, args ...any) {
	s.Notes = append(s.Notes, fmt.Sprintf(format, args...))
}

func (s *Status) judgeInstances() {
	paused := s.Consumption.Paused
	if paused {
		s.note("consumption is paused by %s: %s", s.Consumption.ChangedBy, s.Consumption.Reason)
	}
	builds := map[string]bool{}
	alive, consuming, obeying := 0, 0, 0
	for _, i := range s.Instances {
		if i.Lost {
			s.note("%s has been silent for %s", i.name(), time.Duration(i.SilentSeconds)*time.Second)
			continue
		}
		alive++
		builds[i.Version+" "+i.Commit] = true
		switch i.Consumer {
		case consumerConsuming:
			consuming++
		case consumerPaused:
			obeying++
		}
		for _, name := range slices.Sorted(maps.Keys(i.Problems)) {
			s.reason("%s: %s: %s", i.name(), name, i.Problems[name])
		}
	}
	switch {
	case alive == 0:
		s.reason("no instance has been heard of in the last %s", LostAfter)
		return
	case paused && consuming > 0:
		s.note("%d of %d consumers do not know of the pause yet", consuming, consuming+obeying)
	case !paused && consuming == 0:
		s.reason("no instance consumes %s", s.Consumption.Queue)
	}
	if s.Leader == nil {
		s.reason("no relay dispatches the outbox")
	}
	if len(builds) > 1 {
		s.note("the instances are of %d different builds", len(builds))
	}
}

func (s *Status) judgeOutbox() {
	oldest := time.Duration(s.Outbox.OldestSeconds * float64(time.Second))
	if oldest > outboxAlarm {
		s.reason("the oldest event has been waiting in the outbox for %s", oldest.Round(time.Second))
	}
}
