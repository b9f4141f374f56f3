package lua54

import "github.com/skua-go/skua/lua/vm"

// instr is an instruction: the operation in its low 8 bits, then A in 8, B in 16 and C, signed, in 32.
type instr uint64

func (i instr) op() opcode { return opcode(i & 0xff) }
func (i instr) a() int     { return int(i >> 8 & 0xff) }
func (i instr) b() int     { return int(i >> 16 & 0xffff) }
func (i instr) c() int     { return int(int32(i >> 32)) }

func make3(op opcode, a, b, c int) instr {
	return instr(op) | instr(a)<<8 | instr(b)<<16 | instr(uint32(int32(c)))<<32
}

// maxB is the largest B, and with it the number of constants that an instruction can name beside registers.
const (
	maxB      = 0xffff
	constantB = 256 // B from here on names the constant B - constantB
	negate    = 0x8000
)

type opcode uint8

// The operations. R is a register, K a constant, U an upvalue; RK(B) is R[B] for B < 256 and K[B-256] otherwise. Comparisons jump by C when the result is
// not what the top bit of B says; their operand is the rest of B.
const (
	opMove     opcode = iota // R[A] = R[B]
	opLoadK                  // R[A] = K[C]
	opLoadInt                // R[A] = C
	opLoadNil                // R[A..A+B] = nil
	opLoadTrue               // R[A] = true
	opLoadFalse
	opGetUpval // R[A] = U[B]
	opSetUpval // U[B] = R[A]
	opGetTabUp // R[A] = U[B][K[C]]
	opSetTabUp // U[A][K[C]] = RK(B)
	opGetTable // R[A] = R[B][R[C]]
	opGetField // R[A] = R[B][K[C]]
	opGetInt   // R[A] = R[B][C]
	opSetTable // R[A][R[C]] = RK(B)
	opSetField // R[A][K[C]] = RK(B)
	opSetInt   // R[A][C] = RK(B)
	opSelf     // R[A+1] = R[B]; R[A] = R[B][K[C]]
	opNewTable // R[A] = {} with room for B fields and C items
	opSetList  // R[A][C+i] = R[A+i], 1 <= i <= B; all up to the top if B is 0

	opAdd // R[A] = R[B] + R[C], and so on
	opSub
	opMul
	opMod
	opPow
	opDiv
	opIDiv
	opBAnd
	opBOr
	opBXor
	opShl
	opShr
	opAddK // R[A] = R[B] + K[C], and so on
	opSubK
	opMulK
	opModK
	opPowK
	opDivK
	opIDivK
	opBAndK
	opBOrK
	opBXorK
	opShlK
	opShrK
	opUnm
	opBNot
	opNot
	opLen
	opConcat // R[A] = R[A] .. ... .. R[A+B-1]

	opJmp // pc += C; if A > 0 closes R[A-1] and what is above
	opEq  // if (R[A] == R[B]) ~= k then pc += C
	opLt
	opLe
	opEqK // R[A] == K[B]
	opLtK // R[A] < K[B], numbers
	opLeK
	opGtK
	opGeK
	opTest    // if truth(R[A]) ~= k then pc += C
	opTestSet // if truth(R[B]) == k then R[A] = R[B], pc += C

	opCall     // R[A], ... = R[A](R[A+1], ..., R[A+B-1]); C-1 results, up to the top if C is 0, as arguments are if B is 0
	opTailCall // return R[A](R[A+1], ..., R[A+B-1])
	opReturn   // return R[A], ..., R[A+B-2]; up to the top if B is 0
	opReturn0
	opReturn1 // return R[A]

	opForPrep  // prepare the loop at R[A]; skip it by C
	opForLoop  // next round: pc -= C
	opTForPrep // R[A+3] is to be closed; pc += C
	opTForCall // R[A+4], ..., R[A+3+B] = R[A](R[A+1], R[A+2])
	opTForLoop // if R[A+4] ~= nil then R[A+2] = R[A+4], pc -= C

	opClosure // R[A] = closure of P[C]
	opVararg  // R[A], ... = ...; B-1 of them, all if B is 0
	opClose   // close R[A] and what is above
	opTBC     // R[A] is to be closed
	opCount
)

// proto is the code of a function. It is not written to once it is made, so VMs may share it.
type proto struct {
	code    []instr
	lines   []int32
	k       []value
	protos  []*proto
	ups     []upDesc
	params  int
	vararg  bool
	regs    int // registers that it needs
	chunk   string
	line    int32 // of its `function`, 0 for a chunk
	endLine int32
	locals  []localVar
	unit    *vm.Unit
	// captures are where the upvalues of the functions that it makes come from, if one of them has code of another place: see Graft.
	captures [][]upDesc
}

// upDesc tells where a closure's upvalue comes from: a register of the enclosing function, or one of its upvalues.
type upDesc struct {
	name    string
	inStack bool
	index   int
}

// localVar is a variable that lives in a register from one instruction to another.
type localVar struct {
	name       string
	reg        int
	start, end int
}
