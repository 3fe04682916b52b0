package bench

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"

	"appliance/internal/bench/report"
)

// host describes this host; what it does not tell stays empty.
func host(o Options) report.Host {
	return report.Host{
		Appliance: o.Appliance, GVisor: o.GVisor, Go: runtime.Version(),
		Kernel: firstLine("/proc/sys/kernel/osrelease"), Arch: runtime.GOARCH,
		CPUs: runtime.GOMAXPROCS(0), CPU: cpuModel(readFile("/proc/cpuinfo")), LoadBefore: loadAverage(),
	}
}

// readFile is a file's text; "" where it cannot be read.
func readFile(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return string(b)
}

func firstLine(path string) string {
	line, _, _ := strings.Cut(readFile(path), "\n")
	return line
}

// cpuModel finds the processor's name in the text of /proc/cpuinfo.
func cpuModel(text string) string {
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(line, ":")
		if ok && strings.TrimSpace(key) == "model name" {
			return strings.Join(strings.Fields(value), " ")
		}
	}
	return ""
}

// loadAverage is that of the last minute; 0 where it is not known.
func loadAverage() float64 {
	one, _, _ := strings.Cut(firstLine("/proc/loadavg"), " ")
	n, err := strconv.ParseFloat(one, 64)
	if err != nil {
		return 0
	}
	return n
}

// meminfo is a figure of /proc/meminfo, in KB.
func meminfo(key string) (float64, error) {
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	return meminfoOf(string(b), key)
}

func meminfoOf(text, key string) (float64, error) {
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) == 3 && fields[0] == key+":" && fields[2] == "kB" {
			return strconv.ParseFloat(fields[1], 64)
		}
	}
	return 0, fmt.Errorf("/proc/meminfo has no %s", key)
}
