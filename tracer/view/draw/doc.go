// Package draw is what the pictures of a trace are drawn with: a [Canvas] of a few shapes,
// written as one SVG that needs nothing else: no script, no font and no picture from
// elsewhere. It looks right on a light and on a dark background (the reader's own
// preference), and prints light.
//
// Shapes have classes, not colours. One palette ([Palette]) gives each class its two
// colours, so that a state, a lost segment or a call looks alike in every picture.
// Explicit colours stand in the style sheet, not CSS variables, because the programs that
// turn an SVG into print (librsvg, Inkscape) know no variables.
//
// [TextWidth] tells how wide a text can become on any machine: lay out by it and no label
// runs into another or out of the picture.
package draw
