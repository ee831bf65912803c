// Package ledger is the memory of what was dialed, what was heard and what was decided. Every attempt is a row written
// before the dial, every notification a row written before it is acknowledged, and every decision is recorded with its
// reason. Pace, lines, caps and the guard against a double dial are questions asked of these rows, in the transaction
// that records the intent to dial; there is no counter that could drift from them.
//
// One SQLite file, owned by one process, holds it on one machine. Writes of concurrent callers share a commit, so that
// full durability costs one fsync for many. A PostgreSQL database holds it for as many processes as there are: those that
// count capacity take turns at an advisory lock, and the server's clock is everybody's.
package ledger
