// Package journal keeps on disk what must be ended after a crash.
//
// A journal is a set of records under keys. Keep puts a record there, in place
// of the one before, Forget takes it away, and Open returns those that an
// earlier run has left. What a record means is for the caller to know.
//
// The set is an append-only file in a directory of its own. One goroutine, Run,
// writes: all that has gathered while the disk was busy goes there with one
// write and one sync, so a record waits for two syncs at most, however many
// callers there are. Records that nobody waits for are written at once too
// (they survive the end of the process) and synced with the next one that
// somebody waits for (only then they survive the end of the machine).
//
// The file is bounded: when most of it is about forgotten records it is written
// anew beside the old one and renamed into its place. Every record carries a
// checksum; a torn tail and damaged parts are left out when it is read, whatever
// stands around them is found.
//
// A full or broken disk loses nothing that is running: Ready tells why no new
// call may be placed, the set goes on in memory, and the file is written anew as
// soon as the disk takes it.
package journal
