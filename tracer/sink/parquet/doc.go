// Package parquet writes a trace as an Apache Parquet file: a row an event and a typed
// column a field, for DuckDB, Spark, ClickHouse, pandas and their like.
//
// The columns have the names that the fields have on a line of the schema (package
// tracer), and are null where the line lacks the field:
//
//	n, t_ns                    as they stand; of the types UINT_64 and INT_64
//	time                       started + t_ns: TIMESTAMP(NANOS) in UTC, not adjusted (the kind
//	                           that keeps its nanoseconds in DuckDB); null out of its range
//	type, stack, dir, call,
//	phase, from, to, via, …    STRING, with a dictionary
//	local, remote              {addr STRING, port UINT_16}
//	flags, notes               LIST of STRING
//	opts                       {mss, ws, sack_ok, ts {val, ecr}, sack LIST of {left, right}, other}
//	cause                      {kind, n, what}
//	args                       LIST of {name, text, number, flag}: of the last three the one
//	                           that the value is
//	tcb                        {after, snd_una, …}: a column a variable of [Variables], and
//	                           other, a LIST of {name, number, text}, for those of other names
//	lost_of                    the field of of a lost event: there it is a word, in a call
//	                           the number of an event
//
// What has the same name in several types of events is one column: error of call and
// state, len of segment, datagram and icmp, and so on.
//
//	SELECT stack, "to", count(*), avg(dwell_ns)/1e6 AS ms FROM 'trace.parquet'
//	WHERE type = 'state' GROUP BY ALL;
//
// The header stands in the file's key-value metadata: [SchemaKey] has the name of the
// schema and [HeaderKey] the header, as the first line of a JSONL trace has it.
//
// Row groups hold at most [GroupRows] rows, so that a file of any length is written in
// bounded memory. Bytes that are no UTF-8 are written as U+FFFD.
package parquet
