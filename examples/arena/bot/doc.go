// Package bot plays the arena without a screen: it loads a node, and checks everything that the node answers and pushes.
package bot
