package strictyaml

import "testing"

func TestNearest(t *testing.T) {
	keys := []string{"name", "addresses", "routes", "link", "tcp", "mss", "msl"}
	for word, want := range map[string]string{
		"adress": "addresses", "addreses": "addresses", "route": "routes", "LINK": "link",
		"tpc": "tcp", "nmae": "name", "zebra": "", "x": "", "": "", "msx": "mss",
	} {
		if got, ok := Nearest(word, keys); got != want || ok != (want != "") {
			t.Errorf("Nearest(%q) = %q, %t; want %q", word, got, ok, want)
		}
	}
}

func TestEditDistance(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"ab", "ba", 1}, {"kitten", "sitting", 3}, {"adress", "addresses", 3}} {
		if got := editDistance(tt.a, tt.b); got != tt.want {
			t.Errorf("editDistance(%q, %q) = %d, want %d", tt.a, tt.b, got, tt.want)
		}
		if got := editDistance(tt.b, tt.a); got != tt.want {
			t.Errorf("editDistance(%q, %q) = %d, want %d", tt.b, tt.a, got, tt.want)
		}
	}
}
