package words

// zhExport are the words that traces of captures have: the causes that are inferred.
var zhExport = map[string]string{
	"close or shutdown":                 "close 或 shutdown",
	"abort":                             "异常中止",
	"already open when the trace began": "跟踪开始时已建立",
	"data after close":                  "关闭后到达的数据",
	"data that completes the stream up to the FIN": "补齐 FIN 之前字节流的数据",
}
