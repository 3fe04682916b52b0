package strictyaml

import (
	"fmt"
	"strings"
)

// Nearest returns the candidate that word was probably meant to be; ok is false when
// none is near.
func Nearest(word string, candidates []string) (best string, ok bool) {
	word = strings.ToLower(word)
	distance := maxWord
	for _, c := range candidates {
		// A third may be wrong, but never all of a short word.
		limit := min(max(len(word), len(c))/3, len(c)-1)
		if d := editDistance(word, strings.ToLower(c)); d <= limit && d < distance {
			best, distance, ok = c, d, true
		}
	}
	return best, ok
}

// DidYouMean returns "; did you mean X?", or "" when nothing is near.
func DidYouMean(word string, candidates []string) string {
	if c, ok := Nearest(word, candidates); ok {
		return fmt.Sprintf("; did you mean %s?", c)
	}
	return ""
}

// maxWord bounds the work on a word that cannot be a misspelt key anyway.
const maxWord = 64

// editDistance counts the insertions, deletions, replacements and swaps of
// neighbours that turn a into b (optimal string alignment).
func editDistance(a, b string) int {
	if len(a) > maxWord || len(b) > maxWord {
		return max(len(a), len(b))
	}
	before := make([]int, len(b)+1)
	row := make([]int, len(b)+1)
	next := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		next[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			next[j] = min(row[j]+1, next[j-1]+1, row[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				next[j] = min(next[j], before[j-2]+1)
			}
		}
		before, row, next = row, next, before
	}
	return row[len(b)]
}

// List joins words as a sentence does: "a, b or c".
func List(words []string) string {
	switch len(words) {
	case 0:
		return ""
	case 1:
		return words[0]
	default:
		return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
	}
}
