package sequence

import (
	"strconv"
	"strings"
)

// The bounds of the search. A file that leaves so much open that a trace can be read in more
// ways than these is refused, with a mismatch that says so.
const (
	maxChoices = 4096    // combinations of alternatives that fit
	maxVisits  = 1 << 20 // looks at a place in the rows, in the whole judgment
)

// node is a place in a track's rows: what may come next and what follows that. A nil node is
// the rows' end. Nodes are shared, and two that say the same are one.
type node struct {
	id   string
	kind nodeKind
	next *node

	leaf  *rowLeaf
	taken int // of leaf: events, or bytes where it counts them

	choice  int     // which of the graph's choices
	options []*node // what each alternative leads to

	threads []*node // what is left of each
}

type nodeKind uint8

const (
	leafNode nodeKind = iota
	choiceNode
	threadsNode
)

// graph makes nodes.
type graph struct {
	nodes   map[string]*node
	serial  int
	choices map[*Row]int // groups that leave a choice, numbered
	visits  int
}

// visit counts a look at a place in the rows. It is false once there were too many.
func (g *graph) visit() bool {
	g.visits++
	return !g.exhausted()
}

// exhausted tells that the search was given up: what it has found says nothing.
func (g *graph) exhausted() bool { return g.visits > maxVisits }

// number numbers the groups that leave a choice.
func (g *graph) number(rows []Row) {
	for i := range rows {
		group, ok := rows[i].Body.(Group)
		if !ok {
			continue
		}
		if group.Kind == Either || group.Kind == Optional {
			g.choices[&rows[i]] = len(g.choices)
		}
		for _, list := range group.Lists {
			g.number(list)
		}
	}
}

// undecided is the choice that has taken nothing yet. A choice is a string: for each group, 0 or
// the alternative taken, counted from 1.
func (g *graph) undecided() string { return strings.Repeat("\x00", len(g.choices)) }

// decide returns the choice with one more alternative taken; ok is false where it contradicts.
func decide(choice string, group, alternative int) (string, bool) {
	want := byte(alternative + 1) //nolint:gosec // a file has fewer than 255 alternatives
	switch choice[group] {
	case want:
		return choice, true
	case 0:
		return choice[:group] + string([]byte{want}) + choice[group+1:], true
	default:
		return "", false
	}
}

func (g *graph) fresh(n node) *node {
	g.serial++
	n.id = strconv.Itoa(g.serial)
	return &n
}

func (g *graph) leaf(l *rowLeaf, next *node) *node {
	return g.fresh(node{kind: leafNode, leaf: l, next: next})
}

func (g *graph) alternatives(r *Row, options []*node) *node {
	return g.fresh(node{kind: choiceNode, choice: g.choices[r], options: options})
}

func (g *graph) anyOrder(threads []*node, next *node) *node {
	return g.fresh(node{kind: threadsNode, threads: threads, next: next})
}

// after returns what a leaf's node becomes when it has taken one more event, of n bytes.
func (g *graph) after(n *node, bytes int) *node {
	taken := n.taken + 1
	if n.leaf.sum >= 0 {
		taken = n.taken + bytes
		if taken == n.leaf.sum {
			return n.next
		}
	} else if n.leaf.max == 1 {
		return n.next
	} else if n.leaf.max > 0 && taken == n.leaf.max {
		return n.next
	} else if n.leaf.max == 0 {
		taken = min(taken, max(n.leaf.min, 1)) // beyond that, more is the same
	}
	base, _, _ := strings.Cut(n.id, "+")
	return g.intern(base+"+"+strconv.Itoa(taken), func() node {
		return node{kind: leafNode, leaf: n.leaf, next: n.next, taken: taken}
	})
}

// withThread returns what a node of threads becomes when one of them has gone on to left.
func (g *graph) withThread(n *node, i int, left *node) *node {
	done := left == nil
	ids := make([]string, len(n.threads))
	for k, t := range n.threads {
		if k == i {
			t = left
		}
		if t != nil {
			ids[k] = t.id
			done = false
		}
	}
	if done {
		return n.next
	}
	base, _, _ := strings.Cut(n.id, "(")
	return g.intern(base+"("+strings.Join(ids, ",")+")", func() node {
		threads := append([]*node(nil), n.threads...)
		threads[i] = left
		return node{kind: threadsNode, threads: threads, next: n.next}
	})
}

func (g *graph) intern(id string, build func() node) *node {
	if n, known := g.nodes[id]; known {
		return n
	}
	n := build()
	n.id = id
	g.nodes[id] = &n
	return &n
}

// satisfied tells whether a leaf's node has taken enough.
func (n *node) satisfied() bool {
	if n.leaf.sum >= 0 {
		return false // its node is gone once it has
	}
	return n.taken >= n.leaf.min
}

// atEnd calls yield with each choice under which nothing more need come after a node.
func (g *graph) atEnd(n *node, choice string, yield func(choice string)) {
	switch {
	case !g.visit():
	case n == nil:
		yield(choice)
	case n.kind == leafNode:
		if n.satisfied() {
			g.atEnd(n.next, choice, yield)
		}
	case n.kind == choiceNode:
		for i, o := range n.options {
			if c, ok := decide(choice, n.choice, i); ok {
				g.atEnd(o, c, yield)
			}
		}
	default:
		g.threadsAtEnd(n.threads, choice, func(c string) { g.atEnd(n.next, c, yield) })
	}
}

// threadsAtEnd calls yield with each choice under which no thread need go on.
func (g *graph) threadsAtEnd(threads []*node, choice string, yield func(choice string)) {
	if len(threads) == 0 {
		yield(choice)
		return
	}
	g.atEnd(threads[0], choice, func(c string) { g.threadsAtEnd(threads[1:], c, yield) })
}

// offers calls yield with each leaf's node that may take the next event, the choice that leads
// there, and what becomes of the whole when the leaf's node has become another.
func (g *graph) offers(n *node, choice string, yield func(leaf *node, choice string, then func(*node) *node)) {
	switch {
	case !g.visit(), n == nil:
	case n.kind == leafNode:
		yield(n, choice, func(left *node) *node { return left })
		if n.satisfied() {
			g.offers(n.next, choice, yield)
		}
	case n.kind == choiceNode:
		for i, o := range n.options {
			if c, ok := decide(choice, n.choice, i); ok {
				g.offers(o, c, yield)
			}
		}
	default:
		for i, t := range n.threads {
			g.offers(t, choice, func(leaf *node, c string, then func(*node) *node) {
				yield(leaf, c, func(left *node) *node { return g.withThread(n, i, then(left)) })
			})
		}
		g.threadsAtEnd(n.threads, choice, func(c string) { g.offers(n.next, c, yield) })
	}
}
