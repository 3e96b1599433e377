//go:build !linux

package image

// executor does nothing: no module runs here.
func executor() {}
