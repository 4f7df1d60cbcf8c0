package http

import (
	"net/url"
	"strconv"
)

// parameters reads a query string and collects what is wrong with it. Unknown
// parameters are ignored, so that clients of a later version can talk to us.
type parameters struct {
	values url.Values
	faults []fieldFault
}

func newParameters(u *url.URL) *parameters {
	// normalise has refused what does not parse.
	return &parameters{values: u.Query()}
}

// text returns a parameter that may be given once, and "" if it is not.
func (p *parameters) text(name string) string {
	given := p.values[name]
	if len(given) > 1 {
		p.fault(name, "must be given once")
	}
	if len(given) != 1 {
		return ""
	}
	return given[0]
}

// integer returns a parameter between the bounds, and whether it is given.
func (p *parameters) integer(name string, least, most int64) (int64, bool) {
	if _, given := p.values[name]; !given {
		return 0, false
	}
	n, ok := wholeNumber(p.text(name))
	if !ok || n < least || n > most {
		p.fault(name, "must be an integer from "+strconv.FormatInt(least, 10)+" to "+strconv.FormatInt(most, 10))
		return 0, false
	}
	return n, true
}

// limit returns the page size.
func (p *parameters) limit(otherwise, most int64) int {
	if n, given := p.integer("limit", 1, most); given {
		return int(n)
	}
	return int(otherwise)
}

func (p *parameters) fault(field, detail string) {
	p.faults = append(p.faults, fieldFault{field, detail})
}

// err is nil, or the problem that names every fault.
func (p *parameters) err() error {
	if len(p.faults) == 0 {
		return nil
	}
	return invalid(p.faults...)
}

// id reads an id as it stands on the wire: decimal, positive, in its one form.
func id(text string) (int64, bool) {
	n, ok := wholeNumber(text)
	return n, ok && n > 0
}

// wholeNumber reads an integer from 0 to 2^63-1 without sign or leading zeros.
func wholeNumber(text string) (int64, bool) {
	if len(text) == 0 || len(text) > 19 || text[0] == '0' && len(text) > 1 {
		return 0, false
	}
	for _, c := range []byte(text) {
		if c < '0' || c > '9' {
			return 0, false
		}
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil
}
