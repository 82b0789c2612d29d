// Package faults tests what an operator meets on a bad day that is not yet a
// crash: the server is stopped while everybody talks, and everybody logs in at
// once. The real binary runs; see package crash for kill -9 and full disks.
package faults
