package bench

import "os"

// keepAwake has the host's idle processors wait for work without going to sleep, until
// release is called, and tells whether it could: that is for root. To wake a virtual
// processor takes its host some 50 µs, which is no property of what is compared, and the
// kernel's two ends, who mostly share a processor, do not meet with. The kernel takes the
// word back when the file is closed (Documentation/power/pm_qos_interface.rst).
func keepAwake() (release func(), ok bool) {
	f, err := os.OpenFile("/dev/cpu_dma_latency", os.O_WRONLY, 0)
	if err != nil {
		return func() {}, false
	}
	release = func() { _ = f.Close() }
	if _, err := f.Write(make([]byte, 4)); err != nil { // no microsecond, as a 32-bit number
		release()
		return func() {}, false
	}
	return release, true
}
