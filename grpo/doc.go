// Package grpo is reinforcement learning as DeepSeek-R1 does it: group relative policy optimization, by rewards that a program can check.
package grpo
