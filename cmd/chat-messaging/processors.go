package main

// processors is how many of the available processors the Go runtime should use:
// half of them where a pipeline or a relay runs. Both are a chain of steps that wait
// for each other, so a second processor is hardly used, and to pass the work between
// two costs more than it brings: a sixth of what a message takes at low rates, a
// tenth at high ones. Answering requests gains from each of them, so an instance that
// does nothing else has all.
func processors(cfg Config, available int) int {
	if cfg.Has(componentPipeline) || cfg.Has(componentRelay) {
		return max(available/2, 1)
	}
	return available
}
