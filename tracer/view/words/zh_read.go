package words

// zhSummary are the words of tracer/view/summary.
var zhSummary = map[string]string{
	"conn":                                   "连接",
	"opened by → other end":                  "发起方 → 对端",
	"states":                                 "状态",
	"ended":                                  "结束",
	"lasted":                                 "持续",
	"B out":                                  "发(字节)",
	"B in":                                   "收(字节)",
	"seg out":                                "发(段)",
	"seg in":                                 "收(段)",
	"rtx":                                    "重传",
	"RTT min":                                "RTT最小",
	"median":                                 "中位数",
	"p99 ms":                                 "p99 ms",
	"fin|how it ended":                       "正常关闭",
	"reset|how it ended":                     "被复位",
	"aborted|how it ended":                   "中止",
	"timeout|how it ended":                   "超时",
	"refused|how it ended":                   "被拒绝",
	"unreachable|how it ended":               "不可达",
	"open|not ended":                         "未结束",
	"%d open":                                "%d 个未结束",
	"%d connection (%d active, %d passive)":  "%d 个连接（主动打开 %d，被动打开 %d）",
	"%d connections (%d active, %d passive)": "%d 个连接（主动打开 %d，被动打开 %d）",
	"%d events":                              "事件 %d 个",
	"%d listening":                           "监听套接字 %d 个",
	"%d UDP datagrams":                       "UDP 数据报 %d 个",
	"%d ICMP messages":                       "ICMP 报文 %d 个",
	"%d ended: %s":                           "%d 个%s",
	"%d events lost by the trace's writer":   "写跟踪时丢失事件 %d 个",
	"%.2f %% retransmitted":                  "重传率 %.2f %%",
	", |between items":                       "，",
}

// zhWhy are the words of tracer/view/why.
var zhWhy = map[string]string{
	"%s: %s|a word and what it means":   "%s：%s",
	"because":                           "依据",
	"recorded":                          "记录",
	"wire":                              "线路",
	"deduced":                           "推断",
	"… %d more":                         "… 另有 %d 个",
	"the trace names the cause":         "跟踪中记录了原因",
	"the same packet, at its other end": "同一报文段在另一端的出现",
	"follows from what the packet is and what came before it": "由该报文段本身及其之前的事件推出",
}
