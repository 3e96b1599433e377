package main

import (
	"math/big"
	"strings"
)

// maxDigits bounds a number's digits, so that work stays linear in the input.
const maxDigits = 64

// avgDigits is by how many digits a mean is more precise than its inputs.
const avgDigits = 6

// decimal is the exact number unscaled / 10^scale.
type decimal struct {
	unscaled *big.Int
	scale    int // 0..maxDigits
}

// parseDecimal reads digits with an optional minus before and an optional
// fraction behind: no plus, exponent, white space or grouping.
func parseDecimal(s string) (decimal, bool) {
	digits := strings.TrimPrefix(s, "-")
	whole, fraction, dotted := strings.Cut(digits, ".")
	if !isDigits(whole) || dotted && !isDigits(fraction) || len(whole)+len(fraction) > maxDigits {
		return decimal{}, false
	}
	n, ok := new(big.Int).SetString(whole+fraction, 10)
	if !ok {
		return decimal{}, false
	}
	if len(digits) < len(s) {
		n.Neg(n)
	}
	return decimal{n, len(fraction)}, true
}

func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

func pow10(n int) *big.Int { return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil) }

// at returns d's unscaled number at a scale that is not below d's own.
func (d decimal) at(scale int) *big.Int {
	if scale == d.scale {
		return d.unscaled
	}
	return new(big.Int).Mul(d.unscaled, pow10(scale-d.scale))
}

func (d decimal) compare(e decimal) int {
	scale := max(d.scale, e.scale)
	return d.at(scale).Cmp(e.at(scale))
}

func (d decimal) add(e decimal) decimal {
	scale := max(d.scale, e.scale)
	return decimal{new(big.Int).Add(d.at(scale), e.at(scale)), scale}
}

// mean returns d / n, rounded half to even at avgDigits more digits than d has,
// without zeros at its end.
func (d decimal) mean(n int) decimal {
	scale := d.scale + avgDigits
	divisor := big.NewInt(int64(n))
	quotient, rest := new(big.Int).QuoRem(d.at(scale), divisor, new(big.Int))
	twice := rest.Abs(rest).Lsh(rest, 1).Cmp(divisor)
	if twice > 0 || twice == 0 && quotient.Bit(0) == 1 {
		quotient.Add(quotient, big.NewInt(int64(d.unscaled.Sign())))
	}
	for ten := big.NewInt(10); scale > 0; scale-- {
		shorter, digit := new(big.Int).QuoRem(quotient, ten, new(big.Int))
		if digit.Sign() != 0 {
			break
		}
		quotient = shorter
	}
	return decimal{quotient, scale}
}

// String returns d with exactly scale digits behind the point.
func (d decimal) String() string {
	digits := new(big.Int).Abs(d.unscaled).String()
	if missing := d.scale + 1 - len(digits); missing > 0 {
		digits = strings.Repeat("0", missing) + digits
	}
	if d.scale > 0 {
		digits = digits[:len(digits)-d.scale] + "." + digits[len(digits)-d.scale:]
	}
	if d.unscaled.Sign() < 0 {
		return "-" + digits
	}
	return digits
}
