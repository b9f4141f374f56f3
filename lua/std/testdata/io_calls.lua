local N = "DIR/a"
local function put(text) local f = assert(io.open(N, "wb")) f:write(text) f:close() end
local function with(mode, f) return function() local h = assert(io.open(N, mode)) local r = f(h) h:close() return r end end
local function each(...) local r, n = {}, 0 for a, b, c in ... do n = n + 1 r[n] = { a, b, c } if n > 100 then break end end return r end

-- Opening.
for _, mode in ipairs { "", "q", "rw", "r+b", "rb+", "r++", "bb", "rb", "w+b", "a+", "rbb", "+r", "R", "r " } do
  put("x")
  C(function() local f, m, e = io.open(N, mode) return R(io.type(f), m, e) end)
end
C(function() return R(io.open("DIR/none")) end)
C(function() return R(io.open("DIR/none/none", "w")) end)
C(function() return R(io.open("DIR", "w")) end)
C(function() local f = io.open("DIR") return R(f:read("a")) end)
C(function() return R(io.open()) end)
C(function() return R(io.open({})) end)
C(function() return R(io.open(N, {})) end)
C(function() for l in io.lines("DIR/none") do end end)
C(function() io.input("DIR/none") end)
C(function() io.output("DIR/none/none") end)

-- Reading.
for _, text in ipairs { "", "\n", "a", "a\n", "a\nb", "a\n\nb\n", "\n\n", "a\r\nb\0c\n", ("-"):rep(40000) .. "\nend" } do
  put(text)
  C(with("r", function(f) return R(#(f:read() or "no"), f:read(), f:read(), f:read()) end))
  C(with("r", function(f) local l = f:read("L") return R(#(l or "no"), f:read("L", "L")) end))
  C(with("r", function(f) return R(#f:read("a"), f:read("a"), f:read("l"), f:read(0), f:read(1)) end))
  C(with("r", function(f) return R(f:read(0, 1, 0, 2, 3)) end))
  C(with("r", function(f) return R(#(f:read(30000) or ""), #(f:read(1e6) or ""), f:read(5)) end))
  C(with("r", function(f) return R(f:read("*l", "*L", "*a")) end))
  C(with("r", function(f) return R(f:read("line", "all")) end))
  C(with("r", function(f) return R(each(f:lines())) end))
  C(with("r", function(f) return R(each(f:lines("L"))) end))
  C(with("r", function(f) return R(each(f:lines(1, "l"))) end))
  C(function() return R(each(io.lines(N))) end)
  C(function() return R(each(io.lines(N, 2, "L", 0))) end)
end
put("abc")
for _, format in ipairs { "z", "", "*", "**l", "n", {}, true, 1.5, "1" } do
  C(with("r", function(f) return R(f:read(format)) end))
  C(with("r", function(f) return R(f:read("l", format)) end))
end
C(with("r", function(f) return R(f:read(1.0)) end))
C(with("r", function(f) return R(f:read(nil)) end))

-- Numbers.
for _, text in ipairs {
  "1", " \n\t12 ", "-3", "+4", "1.5", ".5", "5.", ".", "1e3", "1e", "1e+", "0x10", "0X1p4", "0x", "0x.8", "0xg", "00", "007", "1x", "--1", "e1", "1.2.3", "12,13", "inf", "nan", "",
  "9223372036854775807", "9223372036854775808", "0xffffffffffffffffff", ("1"):rep(199), ("1"):rep(200), ("1"):rep(201), ("1"):rep(300), "1 2 3", "- 1", "1_000", "0b1",
} do
  put(text)
  C(with("r", function(f) local a, b = f:read("n", "n") return R(a, b, f:read("a")) end))
  C(with("r", function(f) local a = f:read("n") return R(a, f:seek(), f:read("l")) end))
  C(with("r", function(f) return R(each(f:lines("n"))) end))
end

-- Writing, and both.
C(with("w", function(f) return R(f:write() == f, f:write("a", 1, 2.5, 1.0, -0.0, 1e15, 2^53, 1e100, math.huge, 1 << 62, "\0\n") == f, f:seek()) end))
C(with("r", function(f) return R(f:read("a")) end))
C(with("w", function(f) return R(pcall(f.write, f, "x", {})) end))
C(with("r", function(f) return R(f:read("a")) end))
C(with("w", function(f) return R(f:read("a")) end))
C(with("w", function(f) return R(f:read("n")) end))
C(with("w", function(f) return R(f:read(0)) end))
C(with("w", function(f) return R(pcall(each, f:lines())) end))
C(with("r", function(f) return R(f:write("x")) end))
C(with("r", function(f) return R(f:write("") == f) end))
put("0123456789")
C(with("r+", function(f) local a = f:read(3) f:seek("cur", 0) f:write("xy") f:seek("cur", 0) return R(a, f:read(2), f:seek(), f:seek("set"), f:read("a")) end))
C(with("r+", function(f) f:seek("end", -2) f:write("abc") return R(f:seek(), f:seek("set", 1), f:read("a"), f:seek("end")) end))
C(with("a", function(f) f:write("+1") return R(f:seek()) end))
C(with("a+", function(f) f:seek("set", 1) local a = f:read(2) f:seek("set", 0) f:write("+2") f:seek("set", 0) return R(a, f:read("a")) end))
C(with("w+", function(f) f:write(("-"):rep(50000), "\nend") f:seek("set", 49999) return R(f:read("l", "l", "l")) end))
C(with("w+", function(f) f:seek("set", 10) f:write("x") return R(f:seek("end"), f:seek("set"), f:read("a")) end))

-- Seeking.
put("0123456789")
for _, whence in ipairs { "set", "cur", "end", "foo", 1, {} } do
  for _, offset in ipairs { 0, 3, -3, 100, 1.5, "2", "x", {} } do
    C(with("r", function(f) f:read(5) return R(f:seek(whence, offset)) end))
    C(with("r", function(f) f:read(5) f:seek(whence, offset) return R(f:read(2)) end))
  end
end
C(with("r", function(f) return R(f:seek(), f:seek("cur"), f:seek("end"), f:seek("set", 4), f:read(1), f:seek()) end))
C(with("r", function(f) return R(f:seek("set", -1)) end))

-- Buffers.
for _, how in ipairs { "no", "full", "line", "x" } do C(with("w", function(f) return R(f:setvbuf(how), f:setvbuf(how, 1024)) end)) end
C(with("w", function(f) return R(f:setvbuf()) end))
C(with("w", function(f) f:setvbuf("no") f:write("x") local g = io.open(N) local a = g:read("a") g:close() return R(a) end))
C(with("w", function(f) f:write("x") local g = io.open(N) local a = g:read("a") f:flush() local b = g:read("a") g:close() return R(a, b) end))
C(with("w", function(f) return R(f:flush() == f, f:flush()) end))

-- Closing.
local closed = io.open(N) closed:close()
for _, name in ipairs { "read", "write", "lines", "seek", "setvbuf", "flush", "close" } do
  C(function() closed[name](closed) end)
  C(function() return R(closed[name](1)) end)
  C(function() return R(closed[name]()) end)
  C(function() return R(pcall(closed[name], {})) end)
end
C(function() closed:read() end)
C(function() io.close(closed) end)
C(function() io.lines(N, closed) end)
C(function() return R(tostring(closed), io.type(closed), io.type(io.stdin), io.type(1), io.type(nil)) end)
C(function() return R((tostring(io.stdout):gsub("0x%x+", "X"))) end)
C(function() io.type() end)
C(function() return R(io.stdout:close()) end)
C(function() return R(io.close(io.stderr)) end)
C(function() local f = io.open(N) local next = f:lines() f:close() return R(pcall(next)) end)
C(function() local next = io.lines(N) while next() do end return R(pcall(next)) end)
C(function() local f do local g <close> = io.open(N) f = g end return R(io.type(f)) end)
C(function() local n = 0 for l in io.lines(N) do n = n + 1 break end return R(n) end)
C(function() local a, b, c, d = io.lines(N) return R(type(a), b, c, io.type(d)) end)
C(function() io.lines(N, table.unpack({}, 1, 250)) end)
C(function() io.lines(N, table.unpack({}, 1, 251)) end)

-- Default files.
C(function() local old = io.output() local f = io.output(N) io.write("one\n", 2, "\n") local r = R(f == io.output(), io.output() == f, io.flush()) io.close() io.output(old) return r end)
C(function() local old = io.input() io.input(N) local r = R(io.read(), io.read("n"), io.read("L"), io.read()) io.close(io.input()) r[5] = pcall(io.read) r[6] = select(2, pcall(io.read)) r[7] = select(2, pcall(io.lines)) r.n = 7 io.input(old) return r end)
C(function() local old = io.input() io.input(io.open(N)) local r = R(each(io.lines())) io.input():close() io.input(old) return r end)
C(function() local old = io.input() io.input(N) local r = R(each(io.lines(nil, 1))) io.input():close() io.input(old) return r end)
C(function() local old = io.output() io.output(N) io.close() local r = R(pcall(io.write, "x")) r[3], r[4] = pcall(io.close) r[5], r[6] = pcall(io.flush) r.n = 6 io.output(old) return r end)
C(function() io.input({}) end)
C(function() io.output(closed) end)
C(function() io.write({}) end)
C(function() return R(io.stdout == io.output(), io.stdin == io.input(), io.stdout == io.stderr) end)
C(function() local f = io.tmpfile() f:write("x", 1) f:seek("set") local r = R(f:read("a"), io.type(f)) f:close() return r end)

-- What they are.
C(function() local m = getmetatable(io.stdout) return R(m.__name, type(m.__index), type(m.__close), type(m.__tostring), m.__index.write == io.stdout.write) end)
C(function() return R(pcall(function() return io.stdout.x end)) end)
C(function() io.stdout.x = 1 end)
C(function() return R(io.stdout < io.stderr) end)
C(function() return R(io.stdout .. "") end)
C(function() return R(string.rep(io.stdout)) end)

-- Commands and chunks.
C(function() return R(os.execute("exit 3")) end)
C(function() return R(os.execute("true")) end)
C(function() return R(os.execute("kill -15 $$")) end)
C(function() return R(os.execute()) end)
C(function() return R(pcall(os.execute, {})) end)
put("#!x\nreturn 1, ...")
C(function() return R(dofile(N)) end)
C(function() return R(loadfile(N)(5)) end)
put("return x")
C(function() return R(loadfile(N, "t", { x = 7 })()) end)
C(function() return R(loadfile(N, "b")) end)
put("return = 1")
C(function() return R(loadfile(N)) end)
C(function() dofile(N) end)
put("error('oh')")
C(function() dofile(N) end)
C(function() return R(loadfile("DIR/none")) end)
C(function() dofile("DIR/none") end)
