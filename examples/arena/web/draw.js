// draw.js paints the arena on a canvas: ground, walls, coins, players, and a small map of it all. It reads the game's state and changes nothing in it
// but where things are painted on their way from step to step.

const SPEED = 8.5; // tiles a second that a painted player walks to catch up with the true position
const TAU = 2 * Math.PI;
const METAL = { copper: ["#f0a675", "#d98555", "#8d4d2a"], silver: ["#f4f8fa", "#c9d3da", "#7f8c95"], gold: ["#ffe08a", "#f4c04e", "#9a6b12"] };

/** The colour of a player, the same on everybody's screen. */
export function colorOf(id) {
  let h = 2166136261;
  for (const c of id) h = Math.imul(h ^ c.codePointAt(0), 16777619);
  return `hsl(${(h >>> 0) % 360} 72% 62%)`;
}

export class Painter {
  /** side is the element with the panels. */
  constructor(canvas, side, state) {
    this.canvas = canvas;
    this.side = side;
    this.state = state;
    this.ctx = canvas.getContext("2d");
    this.shown = new Map(); // id -> where a player is painted, in tiles, and how
    this.calm = matchMedia("(prefers-reduced-motion: reduce)");
    this.last = 0;
    this.camera = null;
    this.readColors();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.readColors());
    const observer = new ResizeObserver(() => this.resize());
    observer.observe(canvas);
    observer.observe(side);
    this.resize();
  }

  readColors() {
    const style = getComputedStyle(document.documentElement);
    this.color = {};
    for (const name of ["tile-a", "tile-b", "tile-speck", "beyond", "wall-top", "wall-side", "wall-edge", "grid", "text", "accent", "panel", "line"]) {
      this.color[name] = style.getPropertyValue(`--${name}`).trim();
    }
  }

  resize() {
    const dpr = window.devicePixelRatio || 1;
    const { width, height } = this.canvas.getBoundingClientRect();
    this.width = width;
    this.height = height;
    // The player stands in the middle of what the panels leave free.
    const side = this.side.getBoundingClientRect();
    const beside = side.height > 0.6 * height;
    this.free = { width: beside && side.width > 0 ? side.left : width, height: beside || side.height === 0 ? height : side.top };
    this.canvas.width = Math.max(1, Math.round(width * dpr));
    this.canvas.height = Math.max(1, Math.round(height * dpr));
    this.ctx.setTransform(dpr, 0, 0, dpr, 0, 0);
  }

  /** Side of a tile in CSS pixels: what a player can see fills the shorter side of the window. */
  get tile() {
    const seen = 2 * (this.state.world?.view || 12) + 1;
    return Math.max(18, Math.min(46, Math.floor(Math.min(this.free.width, this.free.height * 1.35) / seen)));
  }

  /** The middle of a tile in CSS pixels from the canvas's corner. */
  toScreen(x, y) {
    const t = this.tile, c = this.camera || { x: 0, y: 0 };
    return { x: (x - c.x) * t + this.free.width / 2, y: (y - c.y) * t + this.free.height / 2 };
  }

  /** The tile, with fractions, at a point in CSS pixels from the canvas's corner. */
  toTile(px, py) {
    const t = this.tile, c = this.camera || { x: 0, y: 0 };
    return { x: (px - this.free.width / 2) / t + c.x, y: (py - this.free.height / 2) / t + c.y };
  }

  frame(now) {
    const dt = Math.min(0.1, (now - this.last) / 1000);
    this.last = now;
    const { world, me } = this.state;
    const g = this.ctx;
    g.fillStyle = this.color.beyond;
    g.fillRect(0, 0, this.width, this.height);
    if (!world || !me) return;
    this.walk(dt, now);
    const my = this.shown.get(me.id);
    this.camera = { x: my.x, y: my.y };
    this.ground(world);
    this.walls(world);
    for (const coin of this.state.coins.values()) this.coin(coin, now);
    this.fog(world, my);
    const all = [...this.state.players.values(), me].map((p) => [p, this.shown.get(p.id)]);
    all.sort((a, b) => a[1].y - b[1].y);
    for (const [p, at] of all) this.player(p, at, p === me, now);
    for (const [p, at] of all) this.label(p, at, p === me);
    this.overview(world, me);
  }

  // Moves what is painted towards where it is.
  walk(dt) {
    const everybody = new Map(this.state.players);
    everybody.set(this.state.me.id, this.state.me);
    for (const id of this.shown.keys()) if (!everybody.has(id)) this.shown.delete(id);
    for (const [id, p] of everybody) {
      const at = this.shown.get(id);
      const dx = at ? p.x - at.x : 0, dy = at ? p.y - at.y : 0, far = Math.max(Math.abs(dx), Math.abs(dy));
      if (!at || far > 5 || this.calm.matches) {
        this.shown.set(id, { x: p.x, y: p.y, face: at?.face || 0, stride: 0 });
        continue;
      }
      const step = SPEED * dt * Math.max(1, far / 1.5);
      at.x += Math.sign(dx) * Math.min(Math.abs(dx), step);
      at.y += Math.sign(dy) * Math.min(Math.abs(dy), step);
      if (far > 0.01) {
        at.face = Math.atan2(dy, dx);
        at.stride += step;
      } else {
        at.stride = 0;
      }
    }
  }

  ground(world) {
    const g = this.ctx, t = this.tile;
    const from = this.toTile(0, 0), to = this.toTile(this.width, this.height);
    const x1 = Math.max(0, Math.floor(from.x)), x2 = Math.min(world.width - 1, Math.ceil(to.x));
    const y1 = Math.max(0, Math.floor(from.y)), y2 = Math.min(world.height - 1, Math.ceil(to.y));
    for (let y = y1; y <= y2; y++) {
      for (let x = x1; x <= x2; x++) {
        const s = this.toScreen(x, y);
        g.fillStyle = (x + y) % 2 ? this.color["tile-a"] : this.color["tile-b"];
        g.fillRect(s.x - t / 2, s.y - t / 2, t + 0.6, t + 0.6);
        const h = Math.imul(x * 73856093 ^ y * 19349663, 2654435761) >>> 0;
        if (h % 5 === 0) { // tufts, always at the same places
          g.fillStyle = this.color["tile-speck"];
          const ox = ((h >> 8) % 60 - 30) / 100 * t, oy = ((h >> 16) % 60 - 30) / 100 * t;
          for (const d of [-0.09, 0, 0.09]) g.fillRect(s.x + ox + d * t, s.y + oy - (d ? 0.08 : 0.14) * t, t * 0.045, t * (d ? 0.1 : 0.16));
        }
      }
    }
    const a = this.toScreen(-0.5, -0.5), b = this.toScreen(world.width - 0.5, world.height - 0.5);
    g.strokeStyle = this.color["wall-edge"];
    g.lineWidth = 3;
    g.strokeRect(a.x, a.y, b.x - a.x, b.y - a.y);
  }

  walls(world) {
    const g = this.ctx, t = this.tile, high = t * 0.28;
    // Those farther down stand before the others.
    for (const w of [...world.walls].sort((a, b) => a.y + a.h - b.y - b.h)) {
      const a = this.toScreen(w.x - 0.5, w.y - 0.5), wide = w.w * t, deep = w.h * t;
      if (a.x > this.width || a.y > this.height || a.x + wide < 0 || a.y + deep < 0) continue;
      g.fillStyle = "rgb(0 0 0 / 20%)";
      g.fillRect(a.x + high * 0.5, a.y + high * 0.6, wide, deep);
      g.fillStyle = this.color["wall-side"];
      g.fillRect(a.x, a.y, wide, deep);
      g.fillStyle = this.color["wall-top"];
      g.fillRect(a.x, a.y - high, wide, deep);
      g.fillStyle = this.color["wall-edge"];
      g.fillRect(a.x, a.y - high, wide, 2);
      g.fillStyle = "rgb(0 0 0 / 10%)";
      for (let y = 0; y < w.h; y++) {
        for (let x = 0; x < w.w; x++) {
          g.fillRect(a.x + x * t + 1, a.y - high + (y + 1) * t - 1, t - 2, 1);
          g.fillRect(a.x + (x + ((y + w.y) % 2 ? 0.5 : 1)) * t - 1, a.y - high + y * t + 2, 1, t - 4);
        }
      }
    }
  }

  coin(coin, now) {
    const g = this.ctx, t = this.tile, s = this.toScreen(coin.x, coin.y);
    const [light, body, dark] = METAL[coin.kind] || METAL.gold;
    const turn = this.calm.matches ? 1 : Math.abs(Math.cos(now / 620 + coin.id * 1.7));
    const lift = this.calm.matches ? 0 : Math.sin(now / 500 + coin.id) * t * 0.04;
    const r = t * 0.26, w = Math.max(r * 0.2, r * turn);
    g.fillStyle = "rgb(0 0 0 / 24%)";
    g.beginPath();
    g.ellipse(s.x, s.y + t * 0.29, r * 0.85, r * 0.32, 0, 0, TAU);
    g.fill();
    g.fillStyle = dark;
    g.beginPath();
    g.ellipse(s.x + r * 0.12, s.y + lift, w, r, 0, 0, TAU);
    g.fill();
    g.fillStyle = body;
    g.beginPath();
    g.ellipse(s.x, s.y + lift, w, r, 0, 0, TAU);
    g.fill();
    g.strokeStyle = light;
    g.lineWidth = Math.max(1, t * 0.05);
    g.beginPath();
    g.ellipse(s.x, s.y + lift, w * 0.66, r * 0.66, 0, 0, TAU);
    g.stroke();
  }

  // What is farther away than the player sees is dimmed: nobody tells us what goes on there.
  fog(world, my) {
    const g = this.ctx, r = world.view + 0.5;
    const a = this.toScreen(my.x - r, my.y - r), b = this.toScreen(my.x + r, my.y + r);
    g.save();
    g.beginPath();
    g.rect(0, 0, this.width, this.height);
    g.roundRect(a.x, a.y, b.x - a.x, b.y - a.y, this.tile);
    g.globalAlpha = 0.55;
    g.fillStyle = this.color.beyond;
    g.fill("evenodd");
    g.restore();
  }

  player(p, at, isMe, now) {
    const g = this.ctx, t = this.tile, s = this.toScreen(at.x, at.y);
    const bob = Math.abs(Math.sin(at.stride * Math.PI)) * t * 0.12, r = t * 0.37, y = s.y - bob - t * 0.04;
    g.fillStyle = "rgb(0 0 0 / 30%)";
    g.beginPath();
    g.ellipse(s.x, s.y + t * 0.33, r * 0.95, r * 0.36, 0, 0, TAU);
    g.fill();
    if (isMe) {
      const pulse = this.calm.matches ? 0 : Math.sin(now / 420) * 0.05;
      g.strokeStyle = this.color.accent;
      g.lineWidth = document.activeElement === this.canvas ? 3 : 1.5;
      g.beginPath();
      g.ellipse(s.x, s.y + t * 0.3, r * (1.3 + pulse), r * (0.55 + pulse / 2), 0, 0, TAU);
      g.stroke();
    }
    g.fillStyle = colorOf(p.id);
    g.beginPath();
    g.arc(s.x, y, r, 0, TAU);
    g.fill();
    g.fillStyle = "rgb(255 255 255 / 22%)";
    g.beginPath();
    g.ellipse(s.x - r * 0.25, y - r * 0.45, r * 0.5, r * 0.28, -0.5, 0, TAU);
    g.fill();
    g.strokeStyle = "rgb(0 0 0 / 35%)";
    g.lineWidth = 1.5;
    g.beginPath();
    g.arc(s.x, y, r, 0, TAU);
    g.stroke();
    // Eyes look where the player walks.
    const ex = Math.cos(at.face) * r * 0.28, ey = Math.sin(at.face) * r * 0.24;
    for (const side of [-1, 1]) {
      g.fillStyle = "#fff";
      g.beginPath();
      g.arc(s.x + side * r * 0.33 + ex, y + ey - r * 0.05, r * 0.24, 0, TAU);
      g.fill();
      g.fillStyle = "#10222a";
      g.beginPath();
      g.arc(s.x + side * r * 0.33 + ex * 1.35, y + ey * 1.4 - r * 0.05, r * 0.12, 0, TAU);
      g.fill();
    }
  }

  label(p, at, isMe) {
    const g = this.ctx, t = this.tile, s = this.toScreen(at.x, at.y);
    g.font = `600 ${Math.max(11, Math.round(t * 0.36))}px system-ui, sans-serif`;
    g.textAlign = "center";
    g.textBaseline = "middle";
    const name = p.name.length > 18 ? `${p.name.slice(0, 17)}…` : p.name;
    const wide = g.measureText(name).width + 14, high = Math.max(17, t * 0.54), y = s.y - t * 0.86;
    g.fillStyle = "rgb(8 22 28 / 72%)";
    g.beginPath();
    g.roundRect(s.x - wide / 2, y - high / 2, wide, high, high / 2);
    g.fill();
    g.fillStyle = isMe ? "#ffd97a" : "#f2f8f6";
    g.fillText(name, s.x, y + 0.5);
  }

  // The whole world, small, where the page leaves room for it.
  overview(world, me) {
    if (this.width < 900 || this.height < 520) return;
    const g = this.ctx, side = 132, k = side / Math.max(world.width, world.height), x0 = 14, y0 = this.height - side - 62;
    const spot = (p, r, color) => {
      g.fillStyle = color;
      g.beginPath();
      g.arc(x0 + (p.x + 0.5) * k, y0 + (p.y + 0.5) * k, r, 0, TAU);
      g.fill();
    };
    g.save();
    g.beginPath();
    g.roundRect(x0, y0, world.width * k, world.height * k, 12);
    g.fillStyle = this.color.panel;
    g.fill();
    g.strokeStyle = this.color.line;
    g.lineWidth = 1;
    g.stroke();
    g.clip();
    g.fillStyle = this.color["wall-top"];
    for (const w of world.walls) g.fillRect(x0 + w.x * k, y0 + w.y * k, Math.max(1, w.w * k), Math.max(1, w.h * k));
    g.strokeStyle = this.color.accent;
    g.strokeRect(x0 + (me.x - world.view) * k, y0 + (me.y - world.view) * k, (2 * world.view + 1) * k, (2 * world.view + 1) * k);
    for (const c of this.state.coins.values()) spot(c, 1.1, METAL[c.kind]?.[1] || this.color.accent);
    for (const p of this.state.players.values()) spot(p, 2.4, colorOf(p.id));
    spot(me, 3, this.color.accent);
    g.restore();
  }
}
