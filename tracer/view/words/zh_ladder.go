package words

// zhLadder are the words of the ladder.
var zhLadder = map[string]string{
	// The lanes.
	"other end":                  "对端",
	"clients":                    "各客户端",
	"states inferred":            "状态为推断",
	"%d of %d states inferred":   "%[2]d 个状态中 %[1]d 个为推断",
	"Segments between %s and %s": "%s 与 %s 之间的报文段",
	"nothing was sent":           "没有发送任何报文",

	// The rows.
	"%s of silence": "静默 %s",
	"%d events are missing here: the trace's writer fell behind": "此处缺少 %d 个事件：跟踪的写入跟不上",
	"filled in":                    "补记",
	"end of stream":                "对方已发送完毕",
	"dropped: %s":                  "丢弃：%s",
	"dropped by rule %s":           "按规则丢弃：%s",
	"not seen to arrive":           "未见到达",
	"under way at the trace's end": "跟踪结束时仍在途中",
	"not seen to be sent":          "未见发出",
	"%s arrives, sent as %s":       "%s 到达，发出时为 %s",
	"sent":                         "发出",
	"received":                     "收到",

	// What stands below the picture.
	"Time runs down; distances grow with it but are not to scale.": "时间自上而下；间距随时间增大，但不成比例。",
	"Dashed: a retransmission.":                                    "虚线：重传。",
	"✗: lost on its way.":                                          "✗：途中丢失。",
	"All states of %s are inferred from segments.":                 "%s 的全部状态由报文段推断。",
	"Some states of %s are inferred from segments.":                "%s 的部分状态由报文段推断。",
}
