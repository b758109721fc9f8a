import { defineConfig } from "vite";

export default defineConfig({
  base: "/",
  publicDir: false,
  build: {
    outDir: "dist",
    assetsDir: "assets",
    // Every asset is a file of this origin, so that the pages' content security policy needs no `data:`.
    assetsInlineLimit: 0,
    modulePreload: false,
    // The licences of what is bundled into the script travel with it.
    license: { fileName: "licences.md" },
    rollupOptions: { input: ["replay.html", "welcome.html", "not-found.html"] },
  },
});
