package handlers

import "math"

// maxDigits is how many decimal digits an int64 can have.
const maxDigits = 19

// parsePositive reads a positive int64 in its canonical decimal form: no sign,
// no leading zero, no space, ASCII digits only.
func parsePositive[T string | []byte](text T) (int64, bool) {
	if len(text) == 0 || len(text) > maxDigits || text[0] == '0' {
		return 0, false
	}
	var n uint64 // 19 digits always fit
	for i := range len(text) {
		digit := text[i] - '0'
		if digit > 9 {
			return 0, false
		}
		n = n*10 + uint64(digit)
	}
	return int64(n), n <= math.MaxInt64
}

// parsePositiveNumber reads a JSON number that is a positive int64 in whatever
// notation: 7, 7.0, 70e-1 and 0.7e1 are one number, 7.5 is none. It is exact, no
// floating point is involved, and its work depends on the length of the text and
// never on the size of the exponent.
func parsePositiveNumber(number []byte) (int64, bool) {
	if n, ok := parsePositive(number); ok {
		return n, true
	}
	if number[0] == '-' {
		return 0, false
	}
	var n uint64          // the significant digits read so far
	var digits, zeros int // how many they are; zeros held back, as they may be trailing
	var fraction int      // digits behind the point
	var inFraction bool
	rest := number
	for ; len(rest) > 0 && rest[0]|0x20 != 'e'; rest = rest[1:] {
		if rest[0] == '.' {
			inFraction = true
			continue
		}
		if inFraction {
			fraction++
		}
		if rest[0] == '0' {
			if digits > 0 {
				zeros++
			}
			continue
		}
		if digits += zeros + 1; digits > maxDigits {
			return 0, false
		}
		n = shift(n, zeros+1) + uint64(rest[0]-'0')
		zeros = 0
	}
	exponent := parseExponent(rest) - fraction + zeros
	if n == 0 || exponent < 0 || digits+exponent > maxDigits {
		return 0, false
	}
	n = shift(n, exponent)
	return int64(n), n <= math.MaxInt64 //nolint:gosec // the second result says whether it fits
}

// shift appends decimal zeros to n. The caller sees to it that they fit.
func shift(n uint64, zeros int) uint64 {
	for range zeros {
		n *= 10
	}
	return n
}

// parseExponent reads the exponent of a JSON number, "" being 0. What no
// mantissa could make up for is cut off, so that it cannot overflow.
func parseExponent(text []byte) int {
	const beyondAll = 1 << 27
	if len(text) == 0 {
		return 0
	}
	text = text[1:]
	negative := text[0] == '-'
	if negative || text[0] == '+' {
		text = text[1:]
	}
	exponent := 0
	for _, c := range text {
		if exponent = exponent*10 + int(c-'0'); exponent > beyondAll {
			exponent = beyondAll
			break
		}
	}
	if negative {
		return -exponent
	}
	return exponent
}
