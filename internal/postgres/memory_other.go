//go:build !linux

package postgres

func inMemory() string { return "" }
