package grpo

// overlong is DAPO's soft punishment of length (section 3.4): nothing up to limit−buffer tokens, −1 at the limit, a straight line between.
func overlong(tokens, limit, buffer int) float64 {
	switch over := tokens - (limit - buffer); {
	case over <= 0:
		return 0
	case tokens > limit:
		return -1
	default:
		return -float64(over) / float64(buffer)
	}
}
