// Package phone turns what people type into targets that can be called: telephone numbers in E.164 and SIP addresses,
// each in one canonical spelling, so that two spellings of a line are never counted, capped or suppressed as two.
package phone
