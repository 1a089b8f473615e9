#!/bin/bash
export PATH=/work/main/node_modules/.bin:$PATH NO_COLOR=1
for t in "$@"; do s=$(date +%s%N); KATA_TARGET=$t vitest run --config helpers/try.config.ts --reporter=json --outputFile=/tmp/out.json >/tmp/out.log 2>&1; node -e '
const r=JSON.parse(require("fs").readFileSync("/tmp/out.json","utf8").replace(/^[^{]*/,""));const a=r.testResults[0].assertionResults;
console.log(process.argv[1].padEnd(80), a.map((x,i)=>x.status==="passed"?".":i+1).join(" "), Math.round(a.reduce((s,x)=>s+(x.duration||0),0))+"ms"); if(r.testResults[0].message)console.log(r.testResults[0].message);
if(process.env.V) a.forEach((x,i)=>x.status!=="passed"&&console.log("  ",i+1,x.failureMessages[0].split("\n").slice(0,+process.env.V).join("\n     ").slice(0,3000)));' "$t"; done
