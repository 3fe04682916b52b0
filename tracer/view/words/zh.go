package words

import "maps"

// chinese is the table: each view's words are in a file of their own.
var chinese = join(
	zhCommon,
	zhText,
	zhLadder,
	zhSummary,
	zhWhy,
	zhStates,
	zhGraph,
	zhReport,
	zhExport,
)

// zhCommon are the words that more than one view uses.
var zhCommon = map[string]string{}

func join(tables ...map[string]string) map[string]string {
	all := map[string]string{}
	for _, t := range tables {
		maps.Copy(all, t)
	}
	return all
}
