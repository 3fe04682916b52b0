package words

// zhText are the story's words (tracer/sink/text).
var zhText = map[string]string{
	// The columns and what introduces a connection.
	"time":            "时刻",
	"stack":           "协议栈",
	"event":           "事件",
	"impair":          "链路干扰",
	"listener %s: ":   "监听套接字 %s：",
	"connection %s: ": "连接 %s：",

	// Calls.
	"of #%d":            "对应 #%d",
	", took %s":         "，耗时 %s",
	"  of #%d, took %s": "  对应 #%d，耗时 %s",
	", end of stream":   "，对方已发送完毕",
	" as %s":            "，即 %s",

	// State changes.
	"by %s":       "因 %s",
	", after %s":  "，历时 %s",
	", filled in": "，补记",
	", inferred":  "，推断",

	// Segments.
	"×%d on the wire": "线路上 ×%d",
	"✗ dropped: %s":   "✗ 丢弃：%s",
	"from %s":         "来自 %s",
	"to %s":           "发往 %s",
	"message":         "报文",
	"delayed %s":      "延迟 %s",
	"rule %s":         "规则 %s",
	"impairment: %s":  "链路干扰：%s",

	// Timers, variables, ends.
	"%s %s|a timer and what it did":         "%s%s",
	" (set to %s)":                          "（定为 %s）",
	"  after #%d":                           "  #%d 之后",
	"  %d more":                             "  另有 %d 项",
	"closed by FIN":                         "以 FIN 正常关闭",
	"reset by peer":                         "被对方复位",
	"aborted here":                          "本端中止",
	"timed out":                             "超时",
	"refused":                               "被拒绝",
	"peer unreachable":                      "对方不可达",
	"ended: %s":                             "结束：%s",
	"ended":                                 "结束",
	": %s, %d B in, %d out, %d+%d segments": "：%s，收 %d 字节，发 %d 字节，报文段 %d+%d",
	", %d retransmit":                       "，重传 %d 次",
	", %d retransmits":                      "，重传 %d 次",
	"… %s not shown (the sink fell behind)": "… 有 %s未显示（输出跟不上）",
	"%d %s|so many of what":                 "%d 个%s",

	// Lines that repeat.
	"… %d more, with %d peers, #%d to #%d: ": "… 另有 %d 条，涉及 %d 个对端，#%d 至 #%d：",
	"… %d more, #%d to #%d: ":                "… 另有 %d 条，#%d 至 #%d：",

	// Notes of segments.
	"retransmission":  "重传",
	"fast-retransmit": "快速重传",
	"tail-loss-probe": "尾部丢失探测",
	"dup-ack":         "重复 ACK",
	"out-of-order":    "失序",
	"zero-window":     "零窗口",
	"window-probe":    "窗口探测",
	"window-update":   "窗口更新",
	"keepalive":       "保活",
	"challenge-ack":   "挑战 ACK",
	"piggyback":       "捎带确认",
	"duplicate":       "副本",
	"duplicated":      "被复制",
	"reordered":       "被乱序",
	"corrupted":       "被损坏",

	// Causes.
	"ACK of our FIN":                         "对本端 FIN 的 ACK",
	"ACK of our SYN":                         "对本端 SYN 的 ACK",
	"ACK of our SYN cookie":                  "对本端 SYN cookie 的 ACK",
	"FIN with the ACK of our FIN":            "FIN（兼对本端 FIN 的 ACK）",
	"close of the listener":                  "监听套接字关闭",
	"stack closed":                           "协议栈关闭",
	"no answer to address resolution":        "地址解析无应答",
	"retransmit timer":                       "重传计时器",
	"retransmit timer: no answer to SYN+ACK": "重传计时器：SYN+ACK 无应答",
	"time-wait timer":                        "TIME-WAIT 计时器",
	"fin-wait-2 timer":                       "FIN-WAIT-2 计时器",
	"keepalive timer":                        "保活计时器",
	"gave up":                                "放弃重试",
	"segment":                                "报文段",
	"call":                                   "调用",
	"timer":                                  "计时器",

	// Timers.
	"retransmit": "重传计时器",
	"time-wait":  "TIME-WAIT 计时器",
	"fin-wait-2": "FIN-WAIT-2 计时器",
	"reorder":    "乱序计时器",
	"cork":       "cork 计时器",
	"fired":      "到期",

	// Why something was dropped.
	"bad checksum":              "检验和错误",
	"malformed header":          "首部格式错误",
	"not for a unicast address": "目的地址不是单播地址",
}
