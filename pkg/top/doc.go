// Package top makes a live view of a running server from what its admin server says of
// itself: two samples of its counters give the rates, errors and latencies of the
// interval between them, by request type and by connection.
//
// The calculation (Between), the order of rows (Order), the texts (WriteTables, Screen)
// and the schedule (Follow) are apart from each other, and none of them touches a
// terminal or the network.
package top
