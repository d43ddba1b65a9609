import { render } from "preact";
import { App } from "./app";
import { followRoute } from "./route";
import "./styles/base.css";
import "./styles/slides.css";
import "./styles/workbench.css";
import "./styles/revisions.css";
import "./styles/unsaved.css";
import "./styles/her2.css";
import "./styles/report.css";
import "./styles/signing.css";
import "./styles/score.css";

followRoute();
render(<App />, document.getElementById("app")!);
