package pcapng

// recent is a map that forgets what was not asked for or set lately: it holds limit entries
// surely, and twice as many at most.
type recent[K comparable, V any] struct {
	limit    int
	cur, old map[K]V
}

func (r *recent[K, V]) get(k K) (V, bool) {
	v, ok := r.cur[k]
	if ok {
		return v, true
	}
	if v, ok = r.old[k]; ok {
		r.set(k, v)
	}
	return v, ok
}

func (r *recent[K, V]) set(k K, v V) {
	if len(r.cur) >= r.limit {
		if _, ok := r.cur[k]; !ok {
			r.old, r.cur = r.cur, nil
		}
	}
	if r.cur == nil {
		r.cur = make(map[K]V)
	}
	r.cur[k] = v
}

func (r *recent[K, V]) remove(k K) {
	delete(r.cur, k)
	delete(r.old, k)
}
