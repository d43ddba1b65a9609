import { render } from "preact";
import { App } from "./app";
import "./styles/base.css";
import "./styles/slides.css";
import "./styles/workbench.css";

render(<App />, document.getElementById("app")!);
