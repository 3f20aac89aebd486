"""The look of the documentation page: light and dark by the reader's own setting, narrow screens included."""

from __future__ import annotations

STYLE = """
:root{color-scheme:light dark;--ink:#14202b;--soft:#566573;--line:#dfe5ea;--ground:#fff;--panel:#f5f7f9;--code:#eef2f5;
--accent:#0b6bcb;--get:#0b6bcb;--post:#1a7f45;--put:#a05a00;--patch:#6d4bc3;--delete:#c0322b}
@media (prefers-color-scheme:dark){:root{--ink:#e6edf3;--soft:#9aa7b4;--line:#2c3742;--ground:#10161c;--panel:#171f27;
--code:#1f2933;--accent:#6cb6ff;--get:#6cb6ff;--post:#57c27d;--put:#e0a34a;--patch:#b49bf2;--delete:#f2857d}}
*{box-sizing:border-box}
html{scroll-behavior:smooth;scroll-padding-top:1rem}
body{margin:0;display:grid;grid-template-columns:19rem minmax(0,1fr);background:var(--ground);color:var(--ink);
font:15px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
a{color:var(--accent);text-decoration:none}a:hover{text-decoration:underline}
code,pre,.path{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:.88em}
code{background:var(--code);border-radius:4px;padding:.08em .32em}
pre{background:var(--code);border-radius:8px;padding:.8rem 1rem;overflow-x:auto;margin:.3rem 0}pre code{padding:0}
nav{position:sticky;top:0;height:100vh;overflow-y:auto;padding:1.4rem 1rem 2rem 1.4rem;background:var(--panel);
border-right:1px solid var(--line)}
nav .brand{display:block;font-weight:650;font-size:1.05rem;color:var(--ink);margin-bottom:1rem}
nav h2{font-size:.72rem;letter-spacing:.07em;text-transform:uppercase;color:var(--soft);margin:1.2rem 0 .3rem}
nav ul{list-style:none;margin:0;padding:0}
nav li a{display:flex;gap:.5rem;align-items:baseline;padding:.16rem 0;color:var(--ink);font-size:.82rem}
nav li span:last-child{overflow-wrap:anywhere}
main{padding:2.4rem clamp(1rem,4vw,3.5rem) 6rem;max-width:72rem}
h1{font-size:2rem;line-height:1.2;margin:.2rem 0 .6rem;letter-spacing:-.01em}
main h2{font-size:1.25rem;margin:2.6rem 0 .8rem}
h3{font-size:1rem;margin:1.8rem 0 .3rem}
h4{font-size:.76rem;letter-spacing:.05em;text-transform:uppercase;color:var(--soft);margin:1.2rem 0 .35rem}
.over{color:var(--soft);margin:0}.lead{font-size:1.05rem;color:var(--soft);max-width:60ch}
.card{border:1px solid var(--line);border-radius:10px;margin:.55rem 0;background:var(--ground)}
.card[open]{box-shadow:0 1px 8px rgb(0 0 0/8%)}
.card:target{border-color:var(--accent)}
summary{display:flex;gap:.75rem;align-items:baseline;flex-wrap:wrap;padding:.65rem .9rem;cursor:pointer;list-style:none}
summary::-webkit-details-marker{display:none}
summary:focus-visible,a:focus-visible{outline:2px solid var(--accent);outline-offset:2px;border-radius:6px}
.path{background:none;padding:0;font-weight:600}.path em{font-style:normal;color:var(--accent)}
nav em{font-style:normal;color:var(--soft)}
.what{color:var(--soft)}
.inside{padding:0 .9rem 1rem;border-top:1px solid var(--line)}
.method{font:700 .68rem/1.6 ui-monospace,Menlo,Consolas,monospace;min-width:3.6rem;text-align:center;border-radius:5px;
color:var(--ground);padding:.05rem .3rem;flex:none}
nav .method{min-width:3.1rem;font-size:.58rem}
.m-get{background:var(--get)}.m-post{background:var(--post)}.m-put{background:var(--put)}
.m-patch{background:var(--patch)}.m-delete{background:var(--delete)}
.frame{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.9rem}
th{text-align:left;font-weight:600;color:var(--soft);border-bottom:1px solid var(--line);padding:.35rem .7rem .35rem 0}
td{border-bottom:1px solid var(--line);padding:.4rem .7rem .4rem 0;vertical-align:top}
tr:target td{background:var(--code)}
.problems{color:var(--soft);font-size:.9rem;margin:.5rem 0 0}
.needed{color:var(--delete);font-size:.75rem}.media{color:var(--soft);font-size:.85rem}
.status{font:600 .8rem ui-monospace,Menlo,Consolas,monospace}
.s2{color:var(--post)}.s3{color:var(--soft)}.s4{color:var(--put)}.s5{color:var(--delete)}
.schema{border-top:1px solid var(--line)}.schema:target h3{color:var(--accent)}
@media (max-width:56rem){body{display:block}
nav{position:static;height:auto;border-right:0;border-bottom:1px solid var(--line)}nav ul{columns:2}}
@media (max-width:34rem){nav ul{columns:1}}
"""
