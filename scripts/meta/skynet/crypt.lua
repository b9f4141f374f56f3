---@meta skynet.crypt

---Functions of Skynet's login. DES, MD5, SHA-1 and a key exchange of 64 bits hold nobody off today: use TLS.
---@class skynet.crypt
local crypt = {}

---The names of the paddings of DES, for desencode and desdecode.
---@type table<string, integer>
crypt.padding = {}

---A hash of 8 bytes.
---@param text string
---@return string
function crypt.hashkey(text) end

---8 random bytes.
---@return string
function crypt.randomkey() end

---Encrypts with DES.
---@param key string 8 bytes
---@param text string
---@param padding? integer one of crypt.padding
---@return string
function crypt.desencode(key, text, padding) end

---Decrypts with DES.
---@param key string 8 bytes
---@param text string
---@param padding? integer one of crypt.padding
---@return string
function crypt.desdecode(key, text, padding) end

---@param text string
---@return string
function crypt.hexencode(text) end

---@param text string
---@return string
function crypt.hexdecode(text) end

---@param text string
---@return string
function crypt.base64encode(text) end

---@param text string
---@return string
function crypt.base64decode(text) end

---The public part of a Diffie-Hellman key of 64 bits.
---@param key string 8 bytes
---@return string
function crypt.dhexchange(key) end

---The shared secret.
---@param public string 8 bytes, of the other side
---@param key string 8 bytes
---@return string
function crypt.dhsecret(public, key) end

---@param x string 8 bytes
---@param y string 8 bytes
---@return string
function crypt.hmac64(x, y) end

---@param x string 8 bytes
---@param y string 8 bytes
---@return string
function crypt.hmac64_md5(x, y) end

---@param key string 8 bytes
---@param text string
---@return string
function crypt.hmac_hash(key, text) end

---@param key string
---@param text string
---@return string
function crypt.hmac_sha1(key, text) end

---@param text string
---@return string
function crypt.sha1(text) end

---Each byte of text with that of key, which is repeated.
---@param text string
---@param key string
---@return string
function crypt.xor_str(text, key) end

return crypt
