local crypt = require "skynet.crypt"
local md5 = require "md5"

-- A vector that a client of Skynet in another language is tested with: hashkey and hmac64 together.
equal(hex(crypt.hmac_hash("12345678", "hello, 中文world")), "9f2cf20dd56ba293")
equal(crypt.hmac_hash("12345678", "hello"), crypt.hmac64(crypt.hashkey("hello"), "12345678"))
-- What Skynet says of hmac64_md5.
local a, b = "12345678", "76543210"
local m = md5.sum((a .. b):rep(3))
equal(crypt.hmac64_md5(a, b), crypt.xor_str(m:sub(1, 8), m:sub(9, 16)))
fails("bad argument #2 to 'hmac64' (8 bytes expected, got 7)", crypt.hmac64, a, "1234567")
fails("8 bytes expected", crypt.hmac_hash, "short", "text")
equal(hex(crypt.hashkey("")), "05150000a7c6674e") -- 5381 and 1315423911

-- The handshake of a login.
local clientkey, serverkey = crypt.randomkey(), crypt.randomkey()
equal(#clientkey, 8)
assert(clientkey ~= serverkey)
equal(crypt.dhsecret(crypt.dhexchange(clientkey), serverkey), crypt.dhsecret(crypt.dhexchange(serverkey), clientkey))
equal(hex(crypt.dhexchange("\1\0\0\0\0\0\0\0")), "0500000000000000")
equal(hex(crypt.dhexchange("\2\0\0\0\0\0\0\0")), "1900000000000000")
fails("not all zero", crypt.dhexchange, ("\0"):rep(8))
fails("not all zero", crypt.dhsecret, ("\0"):rep(8), clientkey)
fails("8 bytes", crypt.dhexchange, "")

-- DES: the vector of Skynet's own test.
equal(crypt.base64encode(crypt.desencode("12345678", "hello world")), "KNugLrX23UcGtcVlk9y+LA==")
for n = 0, 17 do
  local text = ("x"):rep(n)
  for _, padding in pairs(crypt.padding) do
    local secret = crypt.desencode("12345678", text, padding)
    equal(#secret, (n // 8 + 1) * 8)
    equal(crypt.desdecode("12345678", secret, padding), text)
  end
end
fails("the padding is wrong", crypt.desdecode, "12345678", "12345678")
fails("the padding is wrong", crypt.desdecode, "12345678", crypt.desencode("12345678", "abc"), crypt.padding.pkcs7)
fails("a multiple of 8 bytes is expected, got 0", crypt.desdecode, "12345678", "")
fails("a multiple of 8 bytes is expected, got 9", crypt.desdecode, "12345678", "123456789")
fails("8 bytes", crypt.desencode, "1234567", "x")
fails("crypt.padding expected, got 7", crypt.desencode, "12345678", "x", 7)

-- Base64 (RFC 4648, 10).
local plain = { "", "f", "fo", "foo", "foob", "fooba", "foobar" }
for i, text in ipairs({ "", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy" }) do
  equal(crypt.base64encode(plain[i]), text)
  equal(crypt.base64decode(text), plain[i])
end
equal(crypt.base64decode("Zm 9v\r\nYmFy"), "foobar")
equal(crypt.base64decode("Zg==Zg=="), "ff")
for _, bad in ipairs({ "Z", "Zg", "Zg=", "====", "Zh==", "Zm9=", "Z===", "=Zg=" }) do fails("no base64", crypt.base64decode, bad) end

-- Hexadecimal.
equal(crypt.hexencode("\0\xff\x1a"), "00ff1a")
equal(crypt.hexdecode("00fF1a"), "\0\xff\x1a")
fails("odd length", crypt.hexdecode, "123")
fails("invalid byte", crypt.hexdecode, "zz")

-- SHA-1 (RFC 3174) and HMAC-SHA-1 (RFC 2202).
equal(hex(crypt.sha1("abc")), "a9993e364706816aba3e25717850c26c9cd0d89d")
equal(hex(crypt.hmac_sha1("Jefe", "what do ya want for nothing?")), "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79")
equal(hex(crypt.hmac_sha1(("\xaa"):rep(80), "Test Using Larger Than Block-Size Key - Hash Key First")), "aa4ae5e15272d00e95705637ce8a3b55ed402112")

-- XOR.
equal(crypt.xor_str(crypt.xor_str("some text", "key"), "key"), "some text")
equal(crypt.xor_str("", "k"), "")
fails("not empty", crypt.xor_str, "a", "")

-- MD5 (RFC 1321) and HMAC-MD5 (RFC 2202).
equal(md5.sumhexa("abc"), "900150983cd24fb0d6963f7d28e17f72")
equal(hex(md5.sum("")), "d41d8cd98f00b204e9800998ecf8427e")
equal(md5.hmacmd5("what do ya want for nothing?", "Jefe"), "750c783e6ab0b503eaa86e310a5db738")
equal(md5.hmacmd5("Test Using Larger Than Block-Size Key - Hash Key First", ("\xaa"):rep(80)), "6b1ab7fe4bd7bf8f0b62e6ce61b9d0cd")
equal(md5.exor("\1\2", "\3\2"), "\2\0")
equal(md5.exor("", ""), "")
fails("1 and 2 bytes", md5.exor, "a", "bc")
equal(md5.sumhexa(12), md5.sumhexa("12"))
fails("string expected, got nil", md5.sum, nil)
