// A user's settings of the compiler, as strict as they can be, with the package under its name.
import ts from "typescript";

export function options(packageFolder) {
  return {
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.NodeNext,
    lib: ["lib.es2022.d.ts", "lib.dom.d.ts", "lib.dom.asynciterable.d.ts"],
    types: [],
    noEmit: true,
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    noPropertyAccessFromIndexSignature: true,
    noUnusedLocals: true,
    verbatimModuleSyntax: true,
    paths: { prospo: [`${packageFolder}/dist/index.d.ts`], "prospo/models/*": [`${packageFolder}/dist/models/*.d.ts`] },
  };
}
