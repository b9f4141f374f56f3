package crypt

// What tests compare with the standard library.
var (
	MD5Rounds  = md5Rounds
	MD5State   = md5State
	Power      = power
	FromBase64 = fromBase64
)
