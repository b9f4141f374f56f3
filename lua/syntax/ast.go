// Package syntax reads Lua 5.4 sources: it makes a tree of a chunk, with the position of each part, for the compiler and for those who check scripts.
// The grammar is that of the Lua 5.4 reference manual, §9; its errors say what PUC Lua's say.
package syntax

// Pos is a place in a source: line and column count from 1, columns in bytes.
type Pos struct{ Line, Col int32 }

// Block is a list of statements with a scope of its own.
type Block struct {
	Stats []Stat
	End   Pos // of the token behind its last statement
}

// Stat is a statement.
type Stat interface{ stat() }

// Expr is an expression.
type Expr interface {
	expr()
	At() Pos
}

// Attrib is the attribute of a local variable.
type Attrib uint8

// The attributes: none, <const> and <close>.
const (
	Regular Attrib = iota
	Const
	Close
)

// Ident is a name where it is declared.
type Ident struct {
	Name string
	Pos  Pos
	Attr Attrib
}

// The statements. Pos is that of the first token, except where said.
type (
	// LocalStat is `local names = exprs`.
	LocalStat struct {
		Pos   Pos
		Names []Ident
		Exprs []Expr
	}
	// AssignStat is `targets = exprs`; a target is a *NameExpr or an *IndexExpr.
	AssignStat struct {
		Pos     Pos
		Targets []Expr
		Exprs   []Expr
	}
	// CallStat is a call whose results are dropped: a *CallExpr or a *MethodExpr.
	CallStat struct{ Call Expr }
	// DoStat is `do body end`.
	DoStat struct {
		Pos  Pos
		Body *Block
	}
	// WhileStat is `while cond do body end`.
	WhileStat struct {
		Pos  Pos
		Cond Expr
		Body *Block
	}
	// RepeatStat is `repeat body until cond`; cond sees the locals of body.
	RepeatStat struct {
		Pos  Pos
		Body *Block
		Cond Expr
	}
	// IfStat is `if conds[0] then blocks[0] elseif ... else els end`. Else is nil if there is none.
	IfStat struct {
		Pos    Pos
		Conds  []Expr
		Blocks []*Block
		Else   *Block
	}
	// NumForStat is `for v = start, limit, step do body end`. Step is nil if there is none.
	NumForStat struct {
		Pos                Pos
		Var                Ident
		Start, Limit, Step Expr
		Body               *Block
	}
	// GenForStat is `for names in exprs do body end`.
	GenForStat struct {
		Pos   Pos
		Names []Ident
		Exprs []Expr
		Body  *Block
	}
	// FuncStat is `function a.b:c() end`: Target is what is assigned to, and Func has the parameter self if it is a method.
	FuncStat struct {
		Pos    Pos
		Target Expr
		Func   *FuncExpr
	}
	// LocalFuncStat is `local function name() end`; the function sees its name.
	LocalFuncStat struct {
		Pos  Pos
		Name Ident
		Func *FuncExpr
	}
	// ReturnStat ends its block.
	ReturnStat struct {
		Pos   Pos
		Exprs []Expr
	}
	// BreakStat is `break`.
	BreakStat struct{ Pos Pos }
	// GotoStat is `goto label`.
	GotoStat struct {
		Pos   Pos
		Label string
	}
	// LabelStat is `::name::`.
	LabelStat struct {
		Pos  Pos
		Name string
	}
)

// The expressions.
type (
	// NilExpr is nil.
	NilExpr struct{ Pos Pos }
	// TrueExpr is true.
	TrueExpr struct{ Pos Pos }
	// FalseExpr is false.
	FalseExpr struct{ Pos Pos }
	// VarargExpr is `...`.
	VarargExpr struct{ Pos Pos }
	// IntExpr is a numeral that is an integer.
	IntExpr struct {
		Pos   Pos
		Value int64
	}
	// FloatExpr is a numeral that is a float.
	FloatExpr struct {
		Pos   Pos
		Value float64
	}
	// StringExpr is a literal string; Value has its escapes resolved.
	StringExpr struct {
		Pos   Pos
		Value string
	}
	// FuncExpr is a function. Pos is that of `function` (the statement's, for statements), End that of its `end`.
	FuncExpr struct {
		Pos, End Pos
		Params   []Ident
		Vararg   bool
		Body     *Block
	}
	// NameExpr is a name that is used: a local variable, an upvalue or a global one.
	NameExpr struct {
		Pos  Pos
		Name string
	}
	// IndexExpr is `obj[key]`, or `obj.name`, whose Key is a *StringExpr. Pos is that of the `[` or the dot.
	IndexExpr struct {
		Pos      Pos
		Obj, Key Expr
	}
	// CallExpr is `fn(args)`. Pos is that of the opening bracket, or of the argument that stands without.
	CallExpr struct {
		Pos  Pos
		Fn   Expr
		Args []Expr
	}
	// MethodExpr is `obj:name(args)`. Pos is that of the opening bracket, as above; NamePos that of the name.
	MethodExpr struct {
		Pos     Pos
		Obj     Expr
		Name    string
		NamePos Pos
		Args    []Expr
	}
	// BinaryExpr is `left op right`. Pos is that of the operator.
	BinaryExpr struct {
		Pos         Pos
		Op          Op
		Left, Right Expr
	}
	// UnaryExpr is `op x`.
	UnaryExpr struct {
		Pos Pos
		Op  Op
		X   Expr
	}
	// TableExpr is a constructor.
	TableExpr struct {
		Pos, End Pos
		Fields   []Field
	}
	// ParenExpr is `(x)`, which has one value.
	ParenExpr struct {
		Pos Pos
		X   Expr
	}
)

// Field is an item of a constructor. Key is nil for one that stands in the list.
type Field struct {
	Pos   Pos
	Key   Expr
	Value Expr
}

// Op is an operator.
type Op uint8

// The operators.
const (
	Add Op = iota
	Sub
	Mul
	Mod
	Pow
	Div
	IDiv
	BAnd
	BOr
	BXor
	Shl
	Shr
	Concat
	Eq
	Lt
	Le
	Ne
	Gt
	Ge
	And
	Or
	Neg
	BNot
	Not
	Len
)

func (*LocalStat) stat()     {}
func (*AssignStat) stat()    {}
func (*CallStat) stat()      {}
func (*DoStat) stat()        {}
func (*WhileStat) stat()     {}
func (*RepeatStat) stat()    {}
func (*IfStat) stat()        {}
func (*NumForStat) stat()    {}
func (*GenForStat) stat()    {}
func (*FuncStat) stat()      {}
func (*LocalFuncStat) stat() {}
func (*ReturnStat) stat()    {}
func (*BreakStat) stat()     {}
func (*GotoStat) stat()      {}
func (*LabelStat) stat()     {}

func (*NilExpr) expr()    {}
func (*TrueExpr) expr()   {}
func (*FalseExpr) expr()  {}
func (*VarargExpr) expr() {}
func (*IntExpr) expr()    {}
func (*FloatExpr) expr()  {}
func (*StringExpr) expr() {}
func (*FuncExpr) expr()   {}
func (*NameExpr) expr()   {}
func (*IndexExpr) expr()  {}
func (*CallExpr) expr()   {}
func (*MethodExpr) expr() {}
func (*BinaryExpr) expr() {}
func (*UnaryExpr) expr()  {}
func (*TableExpr) expr()  {}
func (*ParenExpr) expr()  {}

// At is where the expression is.
func (e *NilExpr) At() Pos { return e.Pos }

// At is where the expression is.
func (e *TrueExpr) At() Pos { return e.Pos }

// At is where the expression is.
func (e *FalseExpr) At() Pos { return e.Pos }

// At is where the expression is.
func (e *VarargExpr) At() Pos { return e.Pos }

// At is where the expression is.
func (e *IntExpr) At() Pos { return e.Pos }

// At is where the expression is.
func (e *FloatExpr) At() Pos { return e.Pos }

// At is where the expression is.
func (e *StringExpr) At() Pos { return e.Pos }

// At is where the expression is.
func (e *FuncExpr) At() Pos { return e.Pos }

// At is where the expression is.
func (e *NameExpr) At() Pos { return e.Pos }

// At is where the expression is.
func (e *IndexExpr) At() Pos { return e.Pos }

// At is where the expression is.
func (e *CallExpr) At() Pos { return e.Pos }

// At is where the expression is.
func (e *MethodExpr) At() Pos { return e.Pos }

// At is where the expression is.
func (e *BinaryExpr) At() Pos { return e.Pos }

// At is where the expression is.
func (e *UnaryExpr) At() Pos { return e.Pos }

// At is where the expression is.
func (e *TableExpr) At() Pos { return e.Pos }

// At is where the expression is.
func (e *ParenExpr) At() Pos { return e.Pos }

// SyntaxError is what is wrong with a source.
type SyntaxError struct {
	Chunk   string // the name given to Parse
	Pos     Pos
	Message string // as PUC Lua's, without the position: "unexpected symbol near 'x'"
}
