package words

// zhStates are the words of the state diagram.
var zhStates = map[string]string{
	"TCP's states (RFC 9293, figure 5): ends of connections: %d, listeners: %d": "TCP 状态图（RFC 9293 图 5）：连接端点 %d 个，监听者 %d 个",
	"TCP's states (RFC 9293, figure 5): the listener at %s":                     "TCP 状态图（RFC 9293 图 5）：监听者 %s",
	"TCP's states (RFC 9293, figure 5): %s → %s":                                "TCP 状态图（RFC 9293 图 5）：%s → %s",

	"━━ taken   ── not taken":                                                           "━━ 走过   ── 未走过",
	"n× how often   ~ half of the visits were shorter":                                  "n× 次数   ~ 停留时间的中位数",
	"the numbers: in this order":                                                        "数字：先后次序",
	"✗ left by no arrow of the figure":                                                  "✗ 不经图中箭头离开",
	"note 1: only after a passive OPEN · note 2: the RFC names it but does not draw it": "note 1：仅在被动打开之后 · note 2：RFC 提到但未画出",

	"%s, listener %d at %s":               "%s，监听者 %d，地址 %s",
	"%s, connection %d: %s, opened by %s": "%s，连接 %d：%s，由 %s 打开",
	"%s, connection %d: %s → %s":          "%s，连接 %d：%s → %s",
	"%s, listener %d":                     "%s，监听者 %d",
	"change of state":                     "状态变化",
	"after":                               "停留",
	"by|what caused it":                   "原因",
	"ms":                                  "毫秒",
	"in no RFC":                           "无 RFC 规定",
	"still in %s when the trace ended, after %s": "跟踪结束时仍在 %s，已 %s",

	"state":      "状态",
	"visits":     "次数",
	"shortest":   "最短",
	"median":     "中位",
	"longest":    "最长",
	"at the end": "结束时仍在",

	"changes that the figure does not draw:": "图中没有画出的变化：",
	"%s: no document has this change":        "%s：没有文档规定这种变化",
	"%s (in no RFC)":                         "%s（无 RFC 规定）",
	"not in the figure":                      "图中没有",
	"reached %d of %d states (%s) and took %d of %d transitions of the figure (%s)": "到达 %d / %d 个状态（%s），走过图中 %d / %d 条转换（%s）",
	"never reached: %s": "从未到达：%s",
	"never taken: %s":   "从未走过：%s",

	"taken, and how often":                     "走过，及次数",
	"not taken":                                "未走过",
	"left by no arrow of the figure":           "不经图中箭头离开",
	"taken: %d":                                "走过 %d 次",
	"visits: %d":                               "到达 %d 次",
	"%s … %s, median %s":                       "%s … %s，中位 %s",
	"%d of %d states reached":                  "到达 %d / %d 个状态",
	"%d of %d transitions of the figure taken": "走过图中 %d / %d 条转换",
}
