package acceptance_test

const nodeVariable = "SKUA_ACCEPTANCE_NODE"

func serveNode() int { return 0 }
