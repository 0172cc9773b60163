//go:build !race

package main

// importRows is how many rows the large import has.
const importRows = 10000
